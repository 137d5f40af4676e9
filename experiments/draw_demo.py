"""Draws docs/demo.png: the page of `predict.py --export-demo FOLDER` with its first synthetic radiograph.

python -m experiments.draw_demo FOLDER
"""

import argparse
import functools
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image

from experiments.browser import chromium
from runtime.command import exit_status
from runtime.files import write_whole

SIZE = {"width": 1240, "height": 1040}
WAIT = 600_000  # ms


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address under which a folder is served meanwhile, to this machine alone."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="that predict.py --export-demo wrote")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the picture")
    options = parser.parse_args(arguments)
    with served(options.folder) as address, chromium() as browser:
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(address)
        page.wait_for_selector("#inputs:not([disabled])", timeout=WAIT)
        page.click("[data-example='example_1.png']")
        page.wait_for_selector("#results:not([hidden])", timeout=WAIT)
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    content = io.BytesIO()
    shot.save(content, "PNG", optimize=True)
    options.out.mkdir(parents=True, exist_ok=True)
    write_whole(options.out / "demo.png", content.getbuffer())


if __name__ == "__main__":
    sys.exit(exit_status(main))
