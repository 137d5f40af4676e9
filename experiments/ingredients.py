"""What each ingredient of the synthetic radiographs brings: networks trained without it, measured on real radiographs.

    python -m experiments.ingredients --raw dataset

measures on the validation radiographs of a raw folder of real hands, prepared as each network's own data are, and prints a table
for docs/synthetic.md. Every network sees 91 synthetic radiographs for three epochs at 64 px, with the same seed. Finished
parts in --work are kept and not made again. Flags of main.py for all trainings may follow after --.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from experiments.common import measure, prepare, some_of, table, train, whole_numbers
from phantom.data_set import write_data_set
from phantom.drawing import STEPS, Steps
from phantom.shape import ShapeModel
from radiographs.raw_folder import COORDINATES, SPLITS
from runtime.command import cores, exit_status
from training.runs import BEST

TRAINING = ("--init", "", "--stages", "64x3", "--learning_rate", "8e-4")


def mean_shape(model: ShapeModel, rng: np.random.Generator) -> np.ndarray:
    return model.mean


def grown_up(shape: np.ndarray, rng: np.random.Generator) -> float:
    return 1.0


def no_wrist(maps, points, scale, maturity, rng) -> None:
    """As `draw_wrist`, but without the carpal bones."""


def no_soft_tissue(points: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As `soft_tissue`, but its path is zero; its outline still tells markers where the hand is."""
    soft, depth = STEPS.soft_tissue(points, shape, rng)
    return np.zeros_like(soft), depth


def plain_film(absorbed: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As `expose`, but always the same black, white and straight curve."""
    top = np.percentile(absorbed[::4, ::4][depth[::4, ::4] > 0], 99)
    return (60 + 160 * np.maximum(absorbed / top, 0)).astype(np.float32)


def no_markers(grey: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> None:
    """As `add_markers`, but nothing is added."""


LEFT_OUT = {
    "nothing left out": STEPS,
    "modes of the shape model": Steps(sample_shape=mean_shape),
    "stages of growth (all grown up)": Steps(maturity_of=grown_up),
    "carpal bones": Steps(draw_wrist=no_wrist),
    "soft tissue": Steps(soft_tissue=no_soft_tissue),
    "varied film": Steps(expose=plain_film),
    "markers beside the hand": Steps(add_markers=no_markers),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--size", type=int, default=256, help="px of the network frame")
    parser.add_argument("--work", type=Path, default=Path("result/ingredients"), help="folder for what is made on the way")
    parser.add_argument("--rows", type=some_of(LEFT_OUT), default=list(LEFT_OUT), help="some, separated by commas")
    parser.add_argument(
        "--counts", type=whole_numbers, default=[91, 4, 4], help="of synthetic radiographs to train, validate and test on"
    )
    parser.add_argument("flags", nargs="*", help="of main.py")
    options = parser.parse_args(arguments)
    if len(options.counts) != len(SPLITS):
        parser.error(f"--counts: expected {len(SPLITS)} numbers, found {len(options.counts)}")
    rows = []
    for name in options.rows:
        folder = options.work / str(list(LEFT_OUT).index(name))
        raw, data, result = (folder / part for part in ("raw", "processed", "result"))
        if not (raw / COORDINATES).exists():
            write_data_set(raw, dict(zip(SPLITS, options.counts)), seed=0, workers=cores(), steps=LEFT_OUT[name])
        prepare(raw, data, size=options.size)
        train(data, result, "--test_on", "valid", *TRAINING, *options.flags)
        prepare(options.raw, folder / "real_processed", reference=str(result / BEST), size=options.size)  # as predict.py would
        figures = measure(result / BEST, folder / "real_processed", "valid", folder / "real")
        rows.append([name, figures["ipe_px"], figures["median_px"], 100 - figures["or_percent"]["10"]])
        print(table(["left out", "IPE, px", "median, px", "within 10 px, %"], rows), flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
