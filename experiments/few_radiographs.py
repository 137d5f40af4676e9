"""How accurate networks of few radiographs are: `python main.py` on n of the training radiographs, as a table and a curve.

    python -m experiments.few_radiographs few/hands --data dataset/processed --n 1 5 10 25 50 --draws 3
    python -m experiments.few_radiographs few/hands few/heads --figure curve.png

Networks that are trained already are kept. Radiographs that test has too are not drawn.
"""

import json
import random
import shlex
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dataloader import RadiographDataset
from experiments.common import SYNTHETIC, pretrained, table, train
from radiographs.raw_folder import COORDINATES, numbered
from runtime.command import exit_status, parser_of
from runtime.files import DataError, write_csv

RESULT = "test.json"


def draw(ids: list[str], n: int, number: int) -> list[str]:
    """n of these IDs at random, sorted; the same for the same `number` of the draw."""
    shuffled = sorted(ids)
    random.Random(1000 * number + n).shuffle(shuffled)
    return sorted(shuffled[:n])


def train_networks(folder: Path, data: Path, counts: list[int], draws: int, flags: list[str], own_shapes: bool) -> None:
    """A network of each n and draw into FOLDER/n/draw, and beside it the lists of its radiographs. Raises DataError."""
    learnt, tested = (RadiographDataset(data, split) for split in ("train", "test"))
    known = set(learnt.known_by(tested.marks()))
    ids = [id for id in learnt.ids if id not in known]
    if not 1 <= min(counts) <= max(counts) <= len(ids):
        raise DataError(f"{data}: expected 1 to {len(ids)} of its training radiographs, found --n {' '.join(map(str, counts))}")
    for n in counts:
        for number in range(draws if n < len(ids) else 1):
            result, drawn = folder / str(n) / str(number), draw(ids, n, number)
            if (result / RESULT).exists():
                continue
            result.mkdir(parents=True, exist_ok=True)
            for split, listed in (("train", drawn), ("test", tested.ids)):
                (folder / str(n) / f"{number}_{split}.txt").write_text("\n".join(listed) + "\n")
            init = ("--init", pretrained_on_own_shapes(learnt, result, drawn)) if own_shapes else ()
            train(data, result, "--split", folder / str(n) / f"{number}_", *init, *flags)


def pretrained_on_own_shapes(data: RadiographDataset, result: Path, ids: list[str]) -> Path:
    """The checkpoint of a network of synthetic hands whose shapes are those of these radiographs' annotations alone."""
    folder = result.with_name(f"{result.name}_synthetic")
    folder.mkdir(exist_ok=True)
    rows = [{"id": id} | numbered(points.tolist()) for id, points in zip(data.ids, data.points_px) if id in ids]
    write_csv(folder / COORDINATES, rows)
    return pretrained(folder, folder / COORDINATES, [], SYNTHETIC, data.size, seed=0)


def read_figures(folder: Path) -> dict[int, list[dict]]:
    """What the tests of each n say, the fewest radiographs first. Raises DataError."""
    paths = [path for path in folder.glob(f"*/*/{RESULT}") if path.parts[-3].isdecimal()]
    if not paths:
        raise DataError(f"{folder}: expected networks that --data has trained, found none")
    found: dict[int, list[dict]] = {}
    for path in sorted(paths, key=lambda path: (int(path.parts[-3]), path)):
        found.setdefault(int(path.parts[-3]), []).append(json.loads(path.read_text()))
    return found


def in_words(values: list[float | None]) -> str:
    """Mean and SD over draws, a dash without millimetres."""
    if None in values:
        return "-"
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def draw_curve(found: dict[str, dict[int, list[dict]]], path: Path) -> None:
    """Mean errors over n, both on logarithmic axes: a line for each set, a dot for each draw. Raises DataError without mm."""
    for name, by_count in found.items():
        if any(one["pe_mm"] is None for tests in by_count.values() for one in tests):
            raise DataError(f"{name}: expected millimetres for the curve, found radiographs without; leave --figure out")
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, by_count in found.items():
        errors = {n: [one["pe_mm"] for one in tests] for n, tests in by_count.items()}
        (line,) = axes.plot(list(errors), [np.mean(values) for values in errors.values()], label=name)
        for n, values in errors.items():
            axes.plot([n] * len(values), values, "o", color=line.get_color())
    axes.set(xscale="log", yscale="log", xlabel="annotated radiographs", ylabel="mean error, mm")
    ticks = sorted({n for by_count in found.values() for n in by_count})
    axes.set_xticks(ticks, [str(n) for n in ticks], minor=False)
    axes.minorticks_off()
    lowest, highest = axes.get_ylim()
    ticks_mm = [tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32) if lowest <= tick <= highest]
    axes.set_yticks(ticks_mm, [f"{tick:g}" for tick in ticks_mm])
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("folders", type=Path, nargs="+", help="of networks; with --data the one to train into")
    add("--data", type=Path, help="prepared data")
    add("--n", type=int, nargs="+", default=[1, 5, 10, 25, 50], help="annotated radiographs; a tenth validates")
    add("--draws", type=int, default=3, help="networks of each n, each of its own random draw")
    add("--own_shapes", action="store_true", help="of hands: start from synthetic ones whose shapes are of those n alone")
    add("--figure", type=Path, help="PNG of the curve, in mm")
    add("--flags", type=shlex.split, default=[], help='of main.py: --flags="--seed 1"')
    options = parser.parse_args(arguments)
    if options.data:
        train_networks(options.folders[0], options.data, options.n, options.draws, options.flags, options.own_shapes)
    found = {str(folder): read_figures(folder) for folder in options.folders}
    header = ["set", "n", "draws", "IPE, px", "mean, mm", "median, mm", "within 2 mm, %"]
    rows = [
        [name, n, len(tests)]
        + [in_words([one[key] for one in tests]) for key in ("ipe_px", "pe_mm", "median_mm")]
        + [in_words([one["sdr_mm"]["2"] for one in tests])]
        for name, by_count in found.items()
        for n, tests in by_count.items()
    ]
    print(table(header, rows))
    if options.figure:
        draw_curve(found, options.figure)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
