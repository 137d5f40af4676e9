"""An archive in small: predict.py shared among processes, and its memory over very many radiographs.

    python -m benchmarks.archive --memory 20000
    python -m benchmarks.archive --torchrun 2 --files 500

The radiographs are small made pictures and the network is a tiny one with random weights: nothing is measured here but what
predict.py does around the network. Every answer is compared with that of one uninterrupted process, byte for byte.
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

from benchmarks.machine import LOOK_EVERY_S, ROOT, measure_command
from model import SCN
from prediction.calibration import Calibration
from runtime.checkpoint import write_checkpoint
from runtime.command import exit_status
from runtime.files import DataError

LANDMARKS = 5
NETWORK = {"num_landmarks": LANDMARKS, "channels": 8, "levels": 3, "spatial_kernel": 5}
SIDE = 32  # px of the network's frame
WARM = 0.25  # of the radiographs, after which the slope of the memory is taken


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


def outputs(folder: Path) -> dict[str, bytes]:
    """All files but those of the journal."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "journal" and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def keys(out: Path) -> list[bytes]:
    """The radiographs that the journal knows, of whole lines."""
    path = out / "journal" / "1-of-1.jsonl"
    lines = path.read_bytes().splitlines(True) if path.exists() else []
    return [line[9:25] for line in lines if line.endswith(b"\n")]


def start(files: Path, weights: Path, out: Path, *more: object) -> subprocess.Popen:
    command = [sys.executable, "predict.py", files, "--weights", weights, "--out", out, "--format", "coco", *more]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    return subprocess.Popen([str(word) for word in command], cwd=ROOT, **quiet)


def memory(files: Path, weights: Path, out: Path) -> str:
    """Resident memory of the main process over radiographs done."""
    process, seen, began = start(files, weights, out), [], time.perf_counter()
    while process.poll() is None:
        try:
            status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
            path = out / "journal" / "1-of-1.jsonl"
            seen.append((path.stat().st_size if path.exists() else 0, int(status["VmRSS"].split()[0])))
        except (OSError, KeyError):  # not begun, or just ended
            pass
        time.sleep(LOOK_EVERY_S)
    seconds, count = time.perf_counter() - began, len(keys(out))
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


def torchrun(files: Path, weights: Path, work: Path, processes: int) -> str:
    """Several processes against one."""
    assert start(files, weights, work / "one").wait() == 0
    program = ("-m", "torch.distributed.run", f"--nproc-per-node={processes}", "predict.py", files, "--weights", weights)
    measure_command(*program, "--out", work / "several", "--format", "coco")
    measure_command("predict.py", "--merge", "--out", work / "several")
    same = outputs(work / "one") == outputs(work / "several")
    return f"{processes} processes of torchrun: {'the same bytes as' if same else 'OTHER BYTES THAN'} one process"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torchrun", type=int, default=0, help="processes that share the files")
    parser.add_argument("--files", type=int, default=500, help="small pictures for them")
    parser.add_argument("--memory", type=int, default=0, help="small pictures over which memory is watched")
    parser.add_argument("--work", type=Path, help="folder for all of it; none: a temporary one")
    options = parser.parse_args(arguments)
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        work = Path(folder)
        write_weights(work / "tiny.pt")
        write_pictures(work / "few", options.files if options.torchrun else 0)
        write_pictures(work / "many", options.memory)
        if options.torchrun:
            print(torchrun(work / "few", work / "tiny.pt", work, options.torchrun), flush=True)
        if options.memory:
            print(memory(work / "many", work / "tiny.pt", work / "memory"), flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
