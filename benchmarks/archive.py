"""An archive in small: the memory of predict.py over very many radiographs.

    python -m benchmarks.archive --memory 20000

The radiographs are small made pictures and the network is a tiny one with random weights: nothing is measured here but what
predict.py does around the network.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch

from benchmarks.machine import ROOT
from model import SCN
from prediction.calibration import Calibration
from runtime.checkpoint import write_checkpoint
from runtime.command import exit_status
from runtime.files import DataError

LANDMARKS = 5
NETWORK = {"num_landmarks": LANDMARKS, "channels": 8, "levels": 3, "spatial_kernel": 5}
SIDE = 32  # px of the network's frame
WARM = 0.25  # of the radiographs, after which the slope of the memory is taken
LOOK_EVERY_S = 0.1


def write_weights(path: Path) -> None:
    """A network of random weights, in a file as export.py writes it."""
    torch.manual_seed(0)
    trust = {name: torch.as_tensor(value) for name, value in Calibration.unknown(LANDMARKS).to_file().items()}
    write_checkpoint(
        path,
        {
            "weights": SCN(**NETWORK).state_dict(), "network": NETWORK, "size": SIDE, "network_size": SIDE,
            "precision": "float32", "settings": {}, "data": {"size": SIDE, "profile": None}, "trust": trust,
            "names": [str(i) for i in range(LANDMARKS)],
        },
    )  # fmt: skip


def write_pictures(folder: Path, count: int) -> None:
    """Small narrow pictures of noise, whose overlays are small too, a thousand in a folder."""
    rng = np.random.default_rng(0)
    for number in range(count):
        inner = folder / f"{number // 1000:03d}"
        inner.mkdir(parents=True, exist_ok=True)
        iio.imwrite(inner / f"{number:06d}.png", rng.integers(0, 256, (60, 10), np.uint8))


def memory(count: int, work: Path) -> str:
    """Resident memory of the main process over radiographs done. Raises DataError."""
    write_weights(work / "tiny.pt")
    write_pictures(work / "many", count)
    journal = work / "out" / "journal" / "1-of-1.jsonl"
    words = ["predict.py", work / "many", "--weights", work / "tiny.pt", "--out", work / "out", "--format", "coco"]
    seen, began = [], time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
            seen.append((journal.stat().st_size if journal.exists() else 0, int(status["VmRSS"].split()[0])))
        except (OSError, KeyError):  # not begun, or just ended
            pass
        time.sleep(LOOK_EVERY_S)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise DataError(f"predict.py: expected to end with status 0, found {process.returncode}")
    held, kb = np.array(seen, float).T
    done = held / held.max() * count
    after = (done > WARM * count) & (done < count)
    if after.sum() < 2:
        raise DataError(f"--memory {count}: expected some looks while radiographs were predicted, found {after.sum()}; take more")
    slope = np.polyfit(done[after], kb[after], 1)[0] * 1024
    merging = kb[done >= count].max() - kb[after][-1] if (done >= count).any() else 0
    first, last, most = (kilobytes / 1024 for kilobytes in (kb[after][0], kb[after][-1], kb.max()))
    return (
        f"{count} files in {seconds:.0f} s: {first:.0f} MB after a quarter, {last:.0f} MB after all, {slope:.0f} bytes each;"
        f" {merging / 1024:+.0f} MB while the outputs are made; highest {most:.0f} MB"
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", type=int, default=20_000, help="small pictures over which memory is watched")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        print(memory(options.memory, Path(folder)))


if __name__ == "__main__":
    sys.exit(exit_status(main))
