"""How fast phantom.py draws on all cores, and its peak memory for few and for many radiographs.

python benchmarks/drawing.py
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COUNTS = 200, 500


def peak_megabytes(process: subprocess.Popen) -> float:
    """The highest memory of a process and its children together until it ends, as seen ten times a second."""
    peak = 0
    while process.poll() is None:
        total = 0
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            except OSError:  # it has just ended
                continue
            if str(process.pid) in (lines["Pid"].strip(), lines["PPid"].strip()):
                total += int(lines.get("VmRSS", "0").split()[0])
        peak = max(peak, total)
        time.sleep(0.1)
    return peak / 1024


def main() -> None:
    print(f"{os.cpu_count()} cores\nradiographs  seconds  a second  peak MB")
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, ROOT / "phantom.py", "--out", folder, "--train", str(count), "--valid", "0", "--test", "0"]
            start = time.perf_counter()
            peak = peak_megabytes(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            seconds = time.perf_counter() - start
            print(f"{count:11d} {seconds:8.1f} {count / seconds:9.2f} {peak:8.0f}", flush=True)


if __name__ == "__main__":
    main()
