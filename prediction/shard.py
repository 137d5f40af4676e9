"""Which radiographs are this process's: those of --shard, divided further among the processes of torchrun."""

import argparse
import os
from dataclasses import dataclass

from runtime import distributed
from runtime.files import DataError

SLURM = "slurm"  # of --shard: what the job array says


@dataclass(frozen=True)
class Shard:
    """One of several processes that share the radiographs without talking: every `of`-th is its own."""

    number: int = 1  # 1 to `of`
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"

    def has(self, place: int) -> bool:
        return place % self.of == self.number - 1


def part(text: str) -> Shard | str:
    """What --shard is given."""
    if text == SLURM:
        return text
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"expected a part and their number, such as 3/64, found {text!r}")
    return Shard(int(number), int(of))


def shard_of(given: Shard | str) -> Shard:
    """The shard of this process. Raises DataError."""
    if given == SLURM:
        try:
            number, first, of = (int(os.environ[f"SLURM_ARRAY_TASK_{name}"]) for name in ("ID", "MIN", "COUNT"))
        except (KeyError, ValueError):
            raise DataError("--shard slurm: expected a job of an array, found none; start it by sbatch --array=1-64") from None
        if number - first >= of:
            raise DataError(
                f"--shard slurm: expected an array without gaps, found job {number} of {of} from {first}; use --array=1-{of}"
            )
        given = Shard(number - first + 1, of)
    world = distributed.WORLD
    return Shard((given.number - 1) * world + distributed.RANK + 1, given.of * world)
