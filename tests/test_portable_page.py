"""The page that `predict.py --export-demo` writes, in a real browser: predict.py's landmarks, and nothing leaves the folder."""

import csv
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from browser import CHROMIUM, MISSING, chromium, served
from conftest import ROOT
from test_dicom import made, saved

from prediction.predictor import Predictor

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("EXPORTS" not in os.environ, reason="takes minutes: set EXPORTS=1"),
    pytest.mark.skipif(CHROMIUM is None, reason=MISSING),
    pytest.mark.skipif(shutil.which("npm") is None, reason="no npm on the PATH"),
]
WEIGHTS = ROOT / "weights" / "scn_hand.pt"
CLOSE = 0.1  # px of the radiograph
WAIT = 300_000  # ms


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("portable") / "demo"
    call = [sys.executable, "predict.py", "--weights", WEIGHTS, "--export-demo", folder]  # pytest would keep all that torch logs
    ran = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture
def opened(demo):
    """The page, loaded; its requests; what its console said of errors. At the end it must have asked its own host alone."""
    requests, errors = [], []
    with served(demo) as address, chromium() as browser:
        context = browser.new_context(viewport={"width": 390, "height": 844}, accept_downloads=True)
        context.on("request", lambda request: requests.append(request.url))
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector("#inputs:not([disabled])", timeout=WAIT)
        yield page
    assert all(url.startswith((address, f"blob:{address}")) for url in requests), requests
    assert not errors


def table(page) -> list[dict[str, str]]:
    page.wait_for_selector("#results:not([hidden])", timeout=WAIT)
    with page.expect_download() as download:
        page.click("#csv")
    return list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))


def check(rows: list[dict[str, str]], picture: np.ndarray) -> None:
    predictor = Predictor(WEIGHTS, "cpu", precision="float32", check=False)
    ((hand,),) = predictor.predict([picture.astype(np.float32)])
    found = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    np.testing.assert_allclose(found, hand.points_px, atol=CLOSE)
    assert [row["landmark_flags"] for row in rows] == hand.landmark_flags
    assert [row["flags"] for row in rows] == ["; ".join(hand.flags)] * 37


def test_an_example_has_the_landmarks_of_predict(opened, demo, tmp_path):
    """By keyboard; then a DICOM file; then, without the network, another one; a file that is none is named."""
    page = opened
    page.focus("[data-example='example_1.png']")
    page.keyboard.press("Enter")
    picture = iio.imread(demo / "example_1.png")
    check(table(page), picture)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#overlay circle").count() == 37
    pixels = 65535 - picture.astype(np.uint16) * 200
    saved(made(pixels, 16, PhotometricInterpretation="MONOCHROME1", PixelSpacing=[0.15, 0.15]), tmp_path / "film.dcm")
    page.set_input_files("#file", tmp_path / "film.dcm")
    page.get_by_text("film.dcm: one hand").wait_for(timeout=WAIT)
    check(table(page), picture)
    assert page.locator("#lengths td").nth(3).text_content() == "mm"
    (tmp_path / "text.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "text.png")
    page.wait_for_selector("#state.bad")
    assert page.text_content("#state").startswith("text.png: expected a PNG")
    page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("#inputs:not([disabled])", timeout=WAIT)
    page.context.set_offline(False)


def test_the_model_is_small_and_nothing_but_the_page_is_written(demo):
    assert sum(path.stat().st_size for path in (demo / "model").glob("*.onnx")) < 14.5e6
    assert "npm package onnxruntime-web" in (demo / "NOTICE.txt").read_text()
    assert "DIGEST" not in (demo / "sw.js").read_text()
