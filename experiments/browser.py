"""A Chromium that is driven by Playwright, for the page's tests, pictures and timings; label.py itself needs none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runtime.files import DataError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "no chromium on the PATH; on Debian: apt-get install chromium"


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Raises DataError where there is none."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        raise DataError(MISSING)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
