"""Synthetic radiographs of left hands with 37 exact landmarks, as a data set that data_preprocessing.py reads.

    python -m phantom --out dataset --train 91 --valid 21 --test 21 --seed 0
    python -m phantom --out dataset --kinds atlas:4,infant,bent

Kinds of radiographs (docs/lab/synthetic.md) alternate by their shares. The same seed gives the same bytes, whatever the number of
workers.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from phantom.data_set import COUNTS, write_data_set
from phantom.drawing import SHAPE, shape_model
from phantom.kinds import KINDS, in_turn, parse_kinds
from radiographs.raw_folder import SPLITS
from runtime.command import FEWER_WORKERS, alone_in, cores, exit_status, parser_of


def main() -> int:
    parser = parser_of("Make synthetic radiographs of left hands with exact landmarks.")
    add = parser.add_argument
    add("--out", type=Path, default=Path("dataset"), help="folder to write")
    for split, count in COUNTS.items():
        add(f"--{split}", type=int, default=count, help=f"radiographs in {split}")
    add("--seed", type=int, default=0, help="the same seed makes the same radiographs")
    kinds = f"some of {', '.join(KINDS)}; a share may follow each: atlas:4,infant:1 (default: atlas)"
    add("--kinds", type=parse_kinds, default={"atlas": 1}, help=kinds)
    add("--shape", type=Path, default=SHAPE, help="the shape model, which python -m phantom.shape builds")
    add("--workers", type=int, default=cores(), help="processes")
    options = parser.parse_args()
    counts = {split: getattr(options, split) for split in SPLITS}
    if min(counts.values()) < 0 or not sum(counts.values()) or options.workers < 1 or options.seed < 0:
        parser.error("expected counts of 0 or more, one of them positive, --seed >= 0 and --workers >= 1")

    def work() -> None:
        with alone_in(options.out):
            shape_model(options.shape)  # a file that is none is refused here, not by every worker
            turns = [replace(KINDS[kind], shape_model=partial(shape_model, options.shape)) for kind in in_turn(options.kinds)]
            write_data_set(options.out, counts, options.seed, options.workers, turns=turns)

    return exit_status(work, less_memory=FEWER_WORKERS)


if __name__ == "__main__":
    raise SystemExit(main())
