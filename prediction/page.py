"""Pages that show all predictions, the most doubtful first: index.html and pages/, with a search by name and by flag.

They are plain files that open from a disk. A page has CARDS radiographs; what the search looks through lies in parts of ENTRIES.
"""

import base64
import html
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from prediction.overlay import flags_of
from prediction.predictor import Prediction
from runtime.files import whole_file, write_whole

THUMBNAIL = 240  # px
CARDS = 200  # of a page
ENTRIES = 20_000  # of a part
ERRORS = 1000  # files not read that the first page lists; all are told while they are read
SEARCH = Path(__file__).with_name("search.js")
HEAD = """<!doctype html><html lang="en"><meta charset="utf-8">{base}<title>Landmarks</title><style>
body{{font:14px system-ui,sans-serif;margin:2em;background:#fafafa}} main{{display:flex;flex-wrap:wrap;gap:12px}}
main a{{width:240px;padding:8px;background:#fff;border:2px solid #ccc;border-radius:6px;color:#222;text-decoration:none;
overflow-wrap:anywhere}} main a.bad{{border-color:#d33}} img{{display:block;margin:0 auto 6px;max-width:240px}}
form,nav{{margin:1em 0}}
</style><h1>Landmarks</h1>
<p>The most doubtful radiographs come first; a click opens the overlay. Not a medical device.</p>
"""


def card(name: str, overlay: str, picture: Image.Image, hands: list[Prediction]) -> dict:
    """What the pages need of a radiograph: its card in HTML, its overlay's place, its flags, its least confidence."""
    small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=75)
    flags = flags_of(hands)
    least = min(float(hand.confidence.min()) for hand in hands)
    orientations = "; ".join(" ".join([hand.side, hand.orientation]).strip() for hand in hands)
    text = (
        f'<a class="{"bad" if flags else "good"}" href="overlays/{quote(overlay)}">'
        f'<img src="data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}" alt="">'
        f"<b>{html.escape(name)}</b><br>{html.escape(', '.join(flags) or 'nothing flagged')}<br>"
        f"least confidence {least:.2f}; {html.escape(orientations)}</a>\n"
    )
    each = list(dict.fromkeys(flag for hand in hands for flag in hand.flags))
    return {"card": text, "overlay": overlay, "flags": each, "least": least}


def worst_first(flagged: np.ndarray, least: np.ndarray) -> np.ndarray:
    """The order of N radiographs: those with flags, then those without; among them by least confidence, then as listed."""
    return np.lexsort((least, ~flagged.astype(bool)))


def write_pages(
    out: Path, order: np.ndarray, content: Callable[[int], dict], flags: list[str], flagged: int, errors: list[str], unread: int
) -> None:
    """Write index.html and pages/ of N radiographs, `order` (N) of numbers that `content` knows, the worst first.

    `content` gives what `card` gave, and the name. `flags` are those that occur, `errors` says of some of the `unread` files why.
    """
    shutil.rmtree(out / "pages", ignore_errors=True)  # there may have been more of them
    (out / "pages").mkdir()
    write_whole(out / "pages" / "search.js", SEARCH.read_bytes())
    count, parts = max(1, -(-len(order) // CARDS)), -(-len(order) // ENTRIES)
    lines = [*errors, *([f"and {unread - len(errors)} more"] if unread > len(errors) else [])]
    items = "".join(f"<li>{html.escape(error)}</li>" for error in lines)
    for number in range(1, count + 1):
        with whole_file(out / ("index.html" if number == 1 else f"pages/{number}.html")) as page:
            page.write(HEAD.format(base="" if number == 1 else '<base href="../">').encode())
            page.write(f"<p>{len(order)} radiographs, {flagged} flagged, {unread} files not read.</p>".encode())
            page.write(f"<ul>{items}</ul>".encode() if number == 1 else b"")
            page.write(f"{form(flags, parts)}{links(number, count)}<main>\n".encode())
            for place in order[(number - 1) * CARDS : number * CARDS]:
                page.write(content(place)["card"].encode())
            page.write(f'</main>{links(number, count)}<script src="pages/search.js"></script></html>\n'.encode())
    numbers = {flag: number for number, flag in enumerate(flags)}
    for part in range(parts):
        with whole_file(out / "pages" / f"entries-{part + 1}.js") as file:
            file.write(f"entries({part}, [\n".encode())
            for one in map(content, order[part * ENTRIES : (part + 1) * ENTRIES]):
                known = [numbers[flag] for flag in one["flags"] if flag in numbers]
                file.write(f"{json.dumps([one['name'], one['overlay'], known, round(one['least'], 4)])},\n".encode())
            file.write(b"]);\n")


def form(flags: list[str], parts: int) -> str:
    options = "".join(f'<option value="{number}">{html.escape(flag)}</option>' for number, flag in enumerate(flags))
    return (
        f'<form data-parts="{parts}"><input name="text" type="search" placeholder="name">'
        f' <select name="flag"><option value="">any flag or none</option>{options}</select> <output></output></form>'
    )


def links(number: int, count: int) -> str:
    """From one page to others; none where it is the only one."""
    if count == 1:
        return ""
    others = {"worst": 1, "before": number - 1, "next": number + 1, "last": count}
    places = {word: "index.html" if other == 1 else f"pages/{other}.html" for word, other in others.items() if 0 < other <= count}
    anchors = " ".join(f'<a href="{place}">{word}</a>' for word, place in places.items())
    return f"<nav>page {number} of {count}: {anchors}</nav>"
