"""Draws the pictures of docs/labelling.md: the page in a browser, on synthetic radiographs.

    python -m phantom --out result/pages --train 4 --valid 1 --test 1
    python -m experiments.draw_labelling --raw result/pages --weights weights/scn_hand.pt --out docs

Needs playwright (requirements-dev.txt) and a Chromium. Everything that it labels stands in RAW/labels, which must not be there.
"""

import argparse
import sys
import threading
import time
from pathlib import Path

import numpy as np

from experiments.browser import chromium
from labelling.collection import LABELS, open_collection
from labelling.marks import CONFIRMED, Mark
from labelling.propose import name_of, propose
from labelling.server import Server
from labelling.session import Options, Session
from labelling.store import FIRST
from prediction.predictor import Predictor
from radiographs.raw_folder import COORDINATES, read_points
from runtime.command import exit_status
from runtime.files import DataError

QUALITY = 82  # of the JPEG files
SPREAD_PX = 2.5  # of the two made-up readers around the truth


def made_reader(raw: Path, name: str, seed: int, ids: list[str]) -> None:
    """A reader who has done some radiographs, a little beside the truth."""
    session = Session(open_collection(raw, None), Options(reader=name))
    truth, random = read_points(raw / COORDINATES), np.random.default_rng(seed)
    for id in ids:
        picture = session.pictures.get(id)
        points = truth[id] + random.normal(0, SPREAD_PX, truth[id].shape)
        changes = [(k, Mark(CONFIRMED, *map(float, point))) for k, point in enumerate(points.round(3))]
        session.store.act((id, FIRST), 0, f"{name} {id}", "made", changes, size=[picture.width, picture.height])
    session.close()


def draw(raw: Path, weights: Path, out: Path) -> None:
    """Raises DataError."""
    if (raw / LABELS).exists():
        raise DataError(f"{raw / LABELS}: is there already; take a fresh --raw")
    collection = open_collection(raw, None)
    first, second, *others = collection.paths
    for seed, (name, ids) in enumerate({"anna": [first, second], "ben": [first, second], "you": [first]}.items()):
        made_reader(raw, name, seed, ids)
    session = Session(collection, Options(reader="you", without_proposals=False))
    predictor = Predictor(weights)
    for id in others:
        session.proposals[id] = propose(predictor, session.pictures.get(id).pixels.astype(np.float32), name_of(weights))
    server = Server(("127.0.0.1", 0), session)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    with chromium() as browser:
        for name, size, scheme in (("labelling", (1280, 800), "light"), ("labelling_narrow", (800, 700), "dark")):
            page = browser.new_page(viewport=dict(zip(("width", "height"), size)), color_scheme=scheme)
            page.goto(server.link)
            page.wait_for_selector("body[data-ready]")
            if page.locator("#list-panel").is_visible():
                page.locator("#rows button").nth(2).click()
            time.sleep(1)
            for _ in range(12):
                page.keyboard.press("Enter")
            if name == "labelling":
                page.keyboard.press("[")
                page.keyboard.press("u")
                page.keyboard.press("]")
            else:
                page.evaluate("() => { landmarks.view.zoomAt(300, 480, 3); landmarks.draw(); }")
            box = page.locator("#stage").bounding_box()
            page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 0.8 * box["height"])
            time.sleep(0.5)
            page.screenshot(path=out / f"{name}.jpg", type="jpeg", quality=QUALITY)
            if name == "labelling":
                page.keyboard.press("r")
                page.select_option("#one", "anna")
                page.select_option("#two", "ben")
                page.locator("#compare-body tbody button").first.click()
                time.sleep(1)
                page.screenshot(path=out / "labelling_readers.jpg", type="jpeg", quality=QUALITY)
            page.close()
    server.end()
    thread.join()
    session.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True, help="folder of synthetic radiographs")
    parser.add_argument("--weights", type=Path, required=True, help="weights that propose")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    options = parser.parse_args()
    return exit_status(lambda: draw(options.raw, options.weights, options.out))


if __name__ == "__main__":
    sys.exit(main())
