"""Seconds of preparation and training until the default recipe beats the reference in validation, and of everything to the end.

    python benchmarks/time_to_accuracy.py --raw dataset

The reference's best test IPE is 1.125 px. Flags of main.py may follow after --.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runs import read_rows

from benchmarks.machine import ROOT, name

REFERENCE = 1.125  # px


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("more", nargs="*", help="flags of main.py")
    options = parser.parse_args()
    print(name(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data, result = Path(folder) / "processed", Path(folder) / "result"
        start = time.perf_counter()
        for command in (
            ("data_preprocessing.py", "--raw", options.raw, "--out", data),
            ("main.py", "--data", data, "--result", result, *options.more),
        ):
            ran = subprocess.run([sys.executable, ROOT / command[0], *map(str, command[1:])], stdout=subprocess.PIPE, text=True)
            if ran.returncode:
                sys.exit(ran.returncode)
            print(f"{time.perf_counter() - start:7.1f} s  {command[0]} has ended", flush=True)
            if command[0] == "data_preprocessing.py":
                prepared = time.perf_counter() - start
        epochs = read_rows(result / "metrics.csv")
    whole = time.perf_counter() - start
    seconds = 0.0
    for row in epochs:
        seconds += float(row["seconds"])
        if float(row["valid_ipe_px"]) <= REFERENCE:
            print(f"validation IPE {float(row['valid_ipe_px']):.3f} after epoch {row['epoch']}: "
                  f"{prepared:.0f} s of preparation and {seconds:.0f} s of training")  # fmt: skip
            break
    print(f"in all {whole:.0f} s; {ran.stdout.strip().splitlines()[-1]}")


if __name__ == "__main__":
    main()
