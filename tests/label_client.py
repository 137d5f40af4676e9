"""label.py as a user starts it; and how quick its page is, in a Chromium, on radiographs of 2,000 x 2,500 px and 16 bits.

    python -m tests.label_client

From the command to the first picture, from one radiograph to the next, and the frames that the browser's own trace has of a
point being dragged. A process of its own, since Playwright's two ways to wait do not go together.
"""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np

from experiments.browser import CHROMIUM

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
ROWS, COLUMNS = 2500, 2000
DRAG_S, REPORTS = 2.0, 125  # how long, and reports a second, as of a usual mouse
PAUSE_MS = 800  # between radiographs; a reader is slower still
STEP = """async () => { const begun = performance.now(), id = landmarks.key.id; document.getElementById('next').click();
    while (landmarks.key.id === id) await new Promise(go => setTimeout(go, 1));
    await new Promise(go => requestAnimationFrame(() => setTimeout(go))); return performance.now() - begun; }"""


def write_radiographs(raw: Path, count: int) -> None:
    """Noise on coarse squares, which no format makes small."""
    random = np.random.default_rng(0)
    coarse = np.kron(random.integers(0, 250, (ROWS // 50, COLUMNS // 50)), np.ones((50, 50))) * 200
    for number in range(count):
        pixels = coarse + random.integers(0, 4000) + random.integers(0, 60, coarse.shape)
        iio.imwrite(raw / f"b{number}.tif", pixels.astype(np.uint16))


def start(raw: Path, *more: object, port: int = 0) -> tuple[subprocess.Popen, int, str]:
    """label.py as a user starts it: its process, port and token."""
    words = [sys.executable, "label.py", "--raw", raw, "--no-browser", "--port", port, *more]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([str(word) for word in words], cwd=ROOT, text=True, **streams)
    link = process.stdout.readline()
    if not link:
        raise AssertionError(process.stderr.read())
    port, token = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]+)\n", link).groups()
    return process, int(port), token


async def drag(page: "Page") -> None:
    """Place points, and move the last one about for a while; the moves wait for nothing, as those of a hand."""
    box = await page.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for number in range(9):
        await page.mouse.click(x + 20 * number, y - 13 * number)
    await page.mouse.move(x, y)
    await page.mouse.down()
    hand = await page.context.new_cdp_session(page)
    moves = []
    for number in range(round(DRAG_S * REPORTS)):
        angle = 3 * number / REPORTS
        place = {"x": x + 150 * np.sin(angle), "y": y + 100 * np.sin(2 * angle), "button": "left", "buttons": 1}
        moves.append(asyncio.create_task(hand.send("Input.dispatchMouseEvent", {"type": "mouseMoved", **place})))
        await asyncio.sleep(1 / REPORTS)
    await asyncio.gather(*moves)
    await page.mouse.up()


def frames_of(trace: bytes) -> np.ndarray:
    """Milliseconds between the frames that the browser drew between the mouse's button going down and up."""
    events = json.loads(trace)["traceEvents"]

    def times(name: str, kind: str | None = None) -> list[float]:
        return [e["ts"] / 1e3 for e in events if e["name"] == name and (kind is None or e["args"]["data"].get("type") == kind)]

    begun, ended = max(times("EventDispatch", "pointerdown")), max(times("EventDispatch", "pointerup"))
    return np.diff(sorted(time for time in times("DrawFrame") if begun <= time <= ended))


async def measure(browser: "Browser", raw: Path) -> dict:
    """Seconds to the first picture; milliseconds to the next ones, and between the frames of a drag."""
    page = await browser.new_page(viewport={"width": 1280, "height": 800})
    begun = time.monotonic()
    process, port, token = start(raw, "--landmarks", 10)
    try:
        await page.goto(f"http://127.0.0.1:{port}/?token={token}")
        await page.wait_for_selector("body[data-ready]")
        first = time.monotonic() - begun
        steps = []
        for _ in range(2):
            await page.wait_for_timeout(PAUSE_MS)
            steps.append(await page.evaluate(STEP))
        await page.wait_for_timeout(PAUSE_MS)
        await browser.start_tracing(page=page, categories=["devtools.timeline", "disabled-by-default-devtools.timeline.frame"])
        await drag(page)
        frames = frames_of(await browser.stop_tracing())
    finally:
        process.terminate()
        process.communicate(timeout=20)
    return {"first_s": first, "next_ms": max(steps), "frames_ms": frames}


async def measured() -> str:
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        with tempfile.TemporaryDirectory() as folder:
            write_radiographs(Path(folder), 6)
            figures = await measure(browser, Path(folder))
        await browser.close()
    frames = figures["frames_ms"]
    return (
        f"first picture {figures['first_s']:.1f} s after the command; next radiograph {figures['next_ms']:.0f} ms\n"
        f"drag: {1000 / frames.mean():.1f} frames a second; between frames median {np.median(frames):.1f} ms, "
        f"95th percentile {np.percentile(frames, 95):.1f} ms, longest {frames.max():.1f} ms"
    )


if __name__ == "__main__":
    print(asyncio.run(measured()))
