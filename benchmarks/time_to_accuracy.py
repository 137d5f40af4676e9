"""Seconds of preparation and training until the default recipe beats the reference in validation, and of everything to the end.

    python -m benchmarks.time_to_accuracy --raw dataset

The reference's best test IPE is 1.125 px. Flags of main.py may follow after --.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path

from benchmarks.machine import ROOT, name
from runtime.command import exit_status
from runtime.files import read_csv


def measured(*command: object) -> tuple[float, str]:
    """Seconds and output of one of the project's commands, from the start of Python on. Ends this process if it fails."""
    start = time.perf_counter()
    ran = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(ran.stderr)
    return time.perf_counter() - start, ran.stdout


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--target", type=float, default=1.125, help="px, of the validation IPE")
    parser.add_argument("flags", nargs="*", help="of main.py")
    options = parser.parse_args(arguments)
    print(name(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data, result = Path(folder) / "processed", Path(folder) / "result"
        preparing, _ = measured("data_preprocessing.py", "--raw", options.raw.resolve(), "--out", data)
        print(f"{preparing:7.1f} s of preparation", flush=True)
        training, said = measured("main.py", "--data", data, "--result", result, *options.flags)
        print(f"{training:7.1f} s of training and test", flush=True)
        epochs = read_csv(result / "metrics.csv")
    for row, seconds in zip(epochs, accumulate(float(row["seconds"]) for row in epochs)):
        if float(row["valid_ipe_px"]) <= options.target:
            print(f"validation IPE {float(row['valid_ipe_px']):.3f} px after epoch {row['epoch']}: ", end="")
            print(f"{preparing:.0f} s of preparation and {seconds:.0f} s of training")
            break
    else:
        print(f"validation IPE above {options.target:g} px in all {len(epochs)} epochs")
    figures = next(line for line in reversed(said.splitlines()) if "ipe_px" in line)
    print(f"in all {preparing + training:.0f} s; {figures}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
