"""What each ingredient of the drawn hands brings: nets trained on hands drawn without it, measured on real radiographs.

    python experiments/ingredients.py --real dataset/processed

measures on the validation radiographs of a prepared data set of real hands, and prints a table for docs/phantom.md. Every net
sees 91 drawn hands for three epochs at 64 px, with the same seed. Finished parts in --work are kept and not made again.
"""

import argparse
import multiprocessing
from pathlib import Path

import numpy as np

from experiments.common import WORKERS, measure, prepare, table, train
from phantom import anatomy as phantom_anatomy
from phantom import drawing as phantom
from phantom import shape as phantom_shape

STAGES = "64x3"


def mean_hand(model: phantom_shape.ShapeModel, rng: np.random.Generator) -> np.ndarray:
    return model.mean


def no_soft_tissue(points: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As `soft_tissue`, but its path is zero; its outline still tells markers where the hand is."""
    soft, depth = phantom.SOFT_TISSUE(points, shape, rng)
    return np.zeros_like(soft), depth


def plain_film(absorbed: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As `expose`, but always the same black, white and straight curve."""
    top = np.percentile(absorbed[::4, ::4][depth[::4, ::4] > 0], 99)
    return (60 + 160 * np.maximum(absorbed / top, 0)).astype(np.float32)


def no_wrist(maps, points, scale, maturity, rng) -> None:
    """As `draw_wrist`, but without the carpal bones."""


phantom.SOFT_TISSUE = phantom.soft_tissue
WITHOUT = {  # name: (module, what is replaced in it, by what)
    "nothing left out": None,
    "modes of the shape model": (phantom_shape, "sample", mean_hand),
    "stages of growth (all grown up)": (phantom, "maturity_of", lambda shape, rng: 1.0),
    "carpal bones": (phantom_anatomy, "draw_wrist", no_wrist),
    "soft tissue": (phantom, "soft_tissue", no_soft_tissue),
    "varied film": (phantom, "expose", plain_film),
    "markers, labels, dust": (phantom, "add_markers", lambda grey, depth, rng: None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=Path("dataset/processed"), help="prepared real radiographs")
    parser.add_argument("--work", type=Path, default=Path("result/ingredients"), help="folder for what is made on the way")
    options = parser.parse_args()
    multiprocessing.set_start_method("fork")  # so that the workers that draw have the replacements too
    rows = []
    for number, (name, change) in enumerate(WITHOUT.items()):
        folder = options.work / str(number)
        if change:
            module, attribute, replacement = change
            kept = getattr(module, attribute)
            setattr(module, attribute, replacement)
        if not (folder / "raw" / "all_coordinates.csv").exists():
            phantom.write_data_set(folder / "raw", {"train": 91, "valid": 4, "test": 4}, seed=0, workers=WORKERS)
        if change:
            setattr(module, attribute, kept)
        prepare(folder / "raw", folder / "processed")
        train(
            folder / "processed",
            folder / "result",
            "--test_on",
            "valid",
            "--init",
            "",
            "--stages",
            STAGES,
            "--learning_rate",
            "8e-4",
        )
        found = measure(folder / "result" / "best.pt", options.real, "valid", folder / "real")
        rows.append([name, found["ipe_px"], found["median_px"], 100 - found["or_percent"]["10"]])
        print(table(["left out", "IPE, px", "median, px", "within 10 px, %"], rows), flush=True)


if __name__ == "__main__":
    main()
