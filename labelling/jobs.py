"""Commands in the background, one after the other, with their progress: training and proposing are the project's own commands."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GENTLY = ("nice", "-n", "10") if shutil.which("nice") else ()  # so that the page stays quick
TAIL = 12  # lines of output that the page shows


@dataclass
class Step:
    title: str  # as the page says it
    arguments: list[object]  # of Python
    input: str = ""
    on_line: Callable[[str], None] = lambda line: None
    after: Callable[[], None] = lambda: None  # once it has ended well


@dataclass
class Job:
    """Steps run by a thread; the first that fails ends it."""

    name: str
    steps: list[Step]
    step: int = 0  # the number of the one that runs
    lines: deque = field(default_factory=lambda: deque(maxlen=TAIL))
    state: str = "running"  # then done, failed or stopped
    begun: float = field(default_factory=time.time)
    fraction: float | None = None  # of the step
    process: subprocess.Popen | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self):
        self.thread = threading.Thread(target=self.run, daemon=True, name="job")
        self.thread.start()

    def run(self) -> None:
        try:
            for number, step in enumerate(self.steps):
                self.step, self.fraction = number, None
                if status := self.run_step(step):
                    raise RuntimeError(f"{step.title}: ended with status {status}")
                step.after()
            self.state = "done"
        except Exception as error:  # the page says why, and labelling goes on
            if self.state == "running":
                self.lines.append(str(error))
                self.state = "failed"

    def run_step(self, step: Step) -> int:
        command = [*GENTLY, sys.executable, *map(str, step.arguments)]
        with self.lock:
            if self.state != "running":
                return 130
            streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            utf8 = os.environ | {"PYTHONIOENCODING": "utf-8"}  # IDs reach the command in any locale
            self.process = subprocess.Popen(command, cwd=ROOT, env=utf8, encoding="utf-8", errors="replace", **streams)
        with suppress(BrokenPipeError), self.process.stdin as stream:  # ended before it read: what it printed says why
            stream.write(step.input)
        for line in self.process.stdout:
            if line := line.rstrip().rsplit("\r", 1)[-1]:
                self.lines.append(line[:300])
                if counted := re.search(r"(\d+)/(\d+)", line):
                    done, total = map(int, counted.groups())
                    self.fraction = done / total if total else None
                step.on_line(line)
        return self.process.wait()

    def stop(self) -> None:
        with self.lock:
            if self.state == "running":
                self.state = "stopped"
            if self.process:
                self.process.terminate()

    def about(self) -> dict:
        step = {"step": self.step + 1, "steps": len(self.steps), "title": self.steps[self.step].title, "fraction": self.fraction}
        lasted = {"seconds": round(time.time() - self.begun), "lines": list(self.lines)}
        return {"name": self.name, "state": self.state} | step | lasted
