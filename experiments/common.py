"""What the experiments share: they run the project's own commands, in this process, and read what those leave."""

import csv
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import data_preprocessing  # noqa: E402
import main  # noqa: E402

WORKERS = os.cpu_count() or 1


def prepare(raw: Path, out: Path, sigma: float = 3.0, reference: str = "auto") -> None:
    """Prepare a raw folder; with heatmaps of 3 px, the default before the recipe study, unless told otherwise."""
    out.mkdir(parents=True, exist_ok=True)
    data_preprocessing.run(raw, out, data_preprocessing.Settings(256, sigma, reference), WORKERS)


def read_rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def train(data: Path, result: Path, *more: object) -> dict:
    """Train into RESULT unless an earlier call did, go on with what an interrupted one left; the figures of its end."""
    if not (result / "test.json").exists():
        resume = ["--resume"] if (result / "last.pt").exists() else []
        command("--data", data, "--result", result, *more, *resume)
    return json.loads((result / "test.json").read_text())


def measure(checkpoint: Path, data: Path, split: str, result: Path) -> dict:
    """The figures of a checkpoint on a split."""
    command("--mode", "test", "--checkpoint", checkpoint, "--data", data, "--test_on", split, "--result", result)
    return json.loads((result / "test.json").read_text())


def command(*arguments: object) -> None:
    if status := main.main([str(argument) for argument in arguments]):
        sys.exit(status)


def table(header: list[str], rows: list[list[object]]) -> str:
    """A Markdown table, numbers with three digits."""
    text = [[f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *text))
