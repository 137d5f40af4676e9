"""How fast synthetic radiographs are made on all cores, and the peak memory for few and for many of them.

python -m benchmarks.drawing --counts 200,500
"""

import argparse
import sys
import tempfile

from benchmarks.machine import measure_command
from experiments.common import whole_numbers
from runtime.command import cores, exit_status


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=whole_numbers, default=[200, 500], help="of radiographs, separated by commas")
    options = parser.parse_args(arguments)
    print(f"{cores()} cores\nradiographs  seconds  a second  peak MB")
    for count in options.counts:
        with tempfile.TemporaryDirectory() as folder:
            taken = measure_command("-m", "phantom", "--out", folder, "--train", count, "--valid", 0, "--test", 0)
        print(f"{count:11d} {taken.seconds:8.1f} {count / taken.seconds:9.2f} {taken.peak_mb:8.0f}", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
