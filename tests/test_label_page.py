"""label.py's page in a real browser: what is saved is where the pixel is, nothing is lost, everything works by keyboard."""

import io
import json
import re
import shlex
import time

import imageio.v3 as iio
import numpy as np
import pytest
from browser import CHROMIUM, MISSING, chromium
from conftest import made_radiograph
from scipy.ndimage import center_of_mass
from test_dicom import made, saved
from test_label_server import Running, make_pictures, started
from test_label_server import serve as serve

from label import page_that_leads_to
from labelling.proposals import Proposal
from labelling.rounds import Flags
from radiographs.raw_folder import read_points

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason=MISSING)]

NAMES = ["first", "<img src=x onerror=document.title='hacked'>", "third"]
ODD = "<b>x & 'y'"  # the name of a file
DOTS = np.array([[400.3, 500.2], [901.75, 1203.4], [1200.6, 333.9]])  # (x, y) px
WIDTH, HEIGHT, SD = 1500, 1900, 7.0
EXACT = 0.05  # px
WAIT = 60_000  # ms, which a busy machine may take


def dots() -> np.ndarray:
    """A 16-bit picture of three dots that are sharp enough to be found and smooth enough to have a middle."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    picture = np.full((HEIGHT, WIDTH), 500.0)
    for px, py in DOTS:
        picture += 59_500 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * SD**2))
    return np.rint(picture).astype(np.uint16)


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    raw = tmp_path_factory.mktemp("page") / "raw"
    raw.mkdir()
    iio.imwrite(raw / "dots.png", dots())
    saved(made(65535 - dots(), 16, PhotometricInterpretation="MONOCHROME1", PixelSpacing=[0.15, 0.15]), raw / "dots_dicom.dcm")
    for seed, name in enumerate(("made0", "made1", "made2", ODD)):
        iio.imwrite(raw / f"{name}.png", made_radiograph(seed)[0])
    points, regions = np.array([[20, 20], [40, 60], [60, 100]], np.float32), np.tile(np.float32([8, 4, 30]), (3, 1))
    proposed = {f"made{n}": Proposal(points + n, regions, "own.pt 1234", 3.0 - n) for n in range(3)}
    server = Running(raw, NAMES, proposed, reading_again=False)
    yield server
    server.close()


class Page:
    """A window of the page."""

    def __init__(self, browser, link: str, context=None):
        self.shared, self.context = context, context or browser.new_context(viewport={"width": 1280, "height": 800})
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.goto(link)
        self.page.wait_for_selector("body[data-ready]", timeout=WAIT)

    def show(self, id: str) -> None:
        if self.page.evaluate("landmarks.key.id") == id:  # opened anew it would not be told from what is there already
            return
        self.page.locator(f'#rows button[data-id="{id}"]').click()
        self.wait("id => landmarks.key.id === id", id)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(600, 300, steps=3)
        self.page.mouse.move(*end)
        self.page.mouse.up()

    def saved(self) -> None:
        self.wait("() => !landmarks.outbox.waiting && document.getElementById('saved').className === 'saved'")

    def settle(self) -> None:
        """Until what was changed is drawn, as well as it can be."""
        self.page.wait_for_timeout(170)
        self.page.evaluate("() => new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go)))")

    def stage(self) -> dict:
        return self.page.locator("#stage").bounding_box()

    def seen_at(self, expected: tuple[float, float], reach: int) -> tuple[float, float]:
        """The middle of the bright dot around a place of the window, found in a photograph of the window alone."""
        u, v = (round(value) for value in expected)
        area = {"x": u - reach, "y": v - reach, "width": 2 * reach + 1, "height": 2 * reach + 1}
        grey = iio.imread(io.BytesIO(self.page.screenshot(clip=area)))[..., :3].mean(-1)
        row, column = center_of_mass((grey - np.median(grey)).clip(0))
        return area["x"] + column + 0.5, area["y"] + row + 0.5

    def place_of(self, x: float, y: float) -> tuple[float, float]:
        """About where the page shows a pixel of the radiograph."""
        u, v = self.page.evaluate("([x, y]) => landmarks.view.toStage(x, y)", [x, y])
        box = self.stage()
        return box["x"] + u, box["y"] + v

    def wait(self, condition: str, arg: object = None) -> None:
        self.page.wait_for_function(condition, arg=arg, timeout=WAIT, polling=30)

    def undo(self, running: Running, id: str, times: int) -> None:
        """All that a test has done to a radiograph."""
        self.press(*["Control+z"] * times)
        self.saved()
        assert not any(marks_of(running, id))

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *failed) -> None:
        self.page.close()
        if not self.shared:
            self.context.close()
        assert failed[0] or not self.errors, self.errors


@pytest.fixture(scope="module")
def window(browser, running):
    with Page(browser, running.link) as opened:
        yield opened


@pytest.fixture
def page(window, running):
    """The window with the page loaded anew; nothing of the test before is left in it."""
    running.session.windows.held.clear()
    window.page.evaluate("() => { localStorage.clear(); sessionStorage.removeItem(landmarks.marks.kept); }")
    window.page.set_viewport_size({"width": 1280, "height": 800})
    window.page.reload()
    window.page.wait_for_selector("body[data-ready]", timeout=WAIT)
    window.errors.clear()  # those of what the page before still asked for
    yield window
    assert not window.errors


def marks_of(running: Running, id: str) -> list:
    return running.session.store.item((id, 0)).marks


def blank(page: Page) -> None:
    """Nothing but the radiograph on the stage."""
    page.page.evaluate("() => Object.assign(landmarks, { showNames: false, crosshair: false, cursor: null })")
    page.page.evaluate("() => document.querySelectorAll('#overlay *').forEach(one => one.setAttribute('display', 'none'))")
    page.settle()


@pytest.mark.parametrize("id, mirrored", [("dots", False), ("dots_dicom", True)])
def test_what_is_saved_is_where_the_pixel_is(page, running, id, mirrored):
    """At three zooms, placed beside a dot and dragged onto it; at last from one dot to another, taken beside its middle.

    The truth is a photograph of the window.
    """
    page.show(id)
    page.press("2", *("m" if mirrored else ""))  # all values: no dot is cut off at the top
    blank(page)
    for zoom, reach in ((None, 12), (1.3, 34), (5.0, 120)):
        page.press("0")
        if zoom:
            u, v = page.page.evaluate("([x, y]) => landmarks.view.toStage(x, y)", DOTS[0].tolist())
            nearer = "([u, v, z]) => { landmarks.view.zoomAt(u, v, z / landmarks.view.zoom); landmarks.draw(); }"
            page.page.evaluate(nearer, [u, v, zoom])
        page.settle()
        seen = page.seen_at(page.place_of(*DOTS[0]), reach)
        beside = (seen[0] + 21, seen[1] - 17)
        page.page.mouse.click(*beside)
        page.drag(beside, seen)
        page.saved()
        mark = marks_of(running, id)[0]
        assert np.abs(np.array([mark.x, mark.y]) - DOTS[0]).max() <= EXACT, (zoom, mark)
        page.undo(running, id, 2)
    page.press("0")
    page.settle()
    page.page.mouse.click(*page.seen_at(page.place_of(*DOTS[0]), 12))
    start, end = (page.seen_at(page.place_of(*dot), 12) for dot in DOTS[:2])
    page.drag((start[0] + 3, start[1] - 2), (end[0] + 3, end[1] - 2))
    page.saved()
    mark = marks_of(running, id)[0]
    assert np.abs(np.array([mark.x, mark.y]) - DOTS[1]).max() <= EXACT
    page.undo(running, id, 2)


def test_the_radiograph_stays_when_the_list_opens_and_the_window_changes(page):
    page.show("dots")
    page.press("2")
    lit = """() => { const { width, height } = canvas;
        return canvas.getContext('2d').getImageData(0, 0, width, height).data.some((value, i) => i % 4 === 0 && value > 200); }"""
    page.settle()
    for act in ("() => 0", "() => document.getElementById('list-toggle').click()", "() => dispatchEvent(new Event('resize'))"):
        page.page.evaluate(act)
        page.settle()
        assert page.page.evaluate(lit)
    page.page.set_viewport_size({"width": 800, "height": 600})
    page.settle()
    page.press("v")  # over the radiograph, on a narrow page
    page.settle()
    assert page.page.evaluate(lit)


def test_sixteen_bits_reach_the_page(page):
    """Values that one grey level cannot tell apart, of a file whose MONOCHROME1 is undone once."""
    for id in ("dots", "dots_dicom"):
        page.show(id)
        about = page.page.evaluate("() => ({ ...landmarks.raster.about, top: Math.max(...landmarks.raster.level(3).data) })")
        assert about["bits"] == 16 and about["low"] + about["step"] * about["top"] > 50_000
        values = page.page.evaluate("() => [...landmarks.raster.levels[0].data.slice(0, 3)]")
        shown = page.page.evaluate("() => new Set(landmarks.raster.levels[0].data.subarray(500 * 1500, 501 * 1500)).size")
        assert values == [0, 0, 0] and shown > 40


def test_points_in_order_absent_unsure_undo_and_redo_over_radiographs(page, running):
    page.show(ODD)
    box = page.stage()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.page.mouse.click(middle[0] - 60, middle[1])
    page.page.mouse.click(middle[0] + 60, middle[1])
    page.press("x", "[", "u")
    page.saved()
    marks = marks_of(running, ODD)
    assert [mark.state for mark in marks] == ["confirmed", "confirmed", "absent"] and [m.unsure for m in marks] == [0, 0, 1]
    assert page.page.inner_text("#item-state") == "done"
    page.show("dots")
    page.page.mouse.click(*middle)
    page.saved()
    page.undo(running, "dots", 1)
    assert page.page.evaluate("landmarks.key.id") == "dots"
    page.press("Control+z")  # goes back to the radiograph before
    page.wait("id => landmarks.key.id === id", ODD)
    page.wait("() => landmarks.marks.undone.length === 2")
    page.press(*["Control+z"] * 3)
    page.wait("() => landmarks.marks.undone.length === 5")
    page.saved()
    assert not any(marks_of(running, ODD))
    page.press(*["Control+y"] * 4)
    page.wait("() => landmarks.marks.undone.length === 1")
    page.saved()
    assert [mark.state for mark in marks_of(running, ODD)] == ["confirmed", "confirmed", "absent"]
    path, until = running.session.labels / "readers" / "main.csv", time.monotonic() + WAIT / 1000
    while not path.exists() or np.isfinite(read_points(path).get(ODD, DOTS)).all(1).tolist() != [True, True, False]:
        assert time.monotonic() < until, path.read_text()  # it follows within a second
        page.page.wait_for_timeout(50)


def test_proposals_differ_until_they_are_accepted(page, running):
    page.show("made0")
    kinds = "() => [...document.querySelectorAll('#overlay .point')].map(one => one.classList[1])"
    page.settle()
    assert page.page.evaluate(kinds) == ["proposed"] * 3
    regions = """() => [...document.querySelectorAll('#overlay .region')].map(one => {
        const [long, short] = [one.rx, one.ry].map(axis => axis.baseVal.value / landmarks.view.zoom);
        return [long, short, one.transform.baseVal[1].angle]; })"""
    assert np.allclose(page.page.evaluate(regions), [[8, 4, 30]] * 3)
    page.press("m")
    page.settle()
    assert np.allclose(page.page.evaluate(regions), [[8, 4, -30]] * 3)
    page.press("m")
    assert not any(marks_of(running, "made0"))  # seen is not accepted
    page.press("Enter")
    page.saved()
    assert [mark and mark.state for mark in marks_of(running, "made0")] == ["confirmed", None, None]
    page.press("]", "Delete")
    page.saved()
    page.show("made1")
    page.show("made0")
    page.settle()
    assert page.page.evaluate(kinds)[:2] == ["point", "proposed"] or marks_of(running, "made0")[2].state == "removed"
    page.press("a")
    page.saved()
    page.settle()
    marks = marks_of(running, "made0")
    assert sorted(mark.state for mark in marks) == ["confirmed", "confirmed", "removed"]
    taken = next(mark for mark in marks[1:] if mark.state == "confirmed")
    assert taken.by == "own.pt 1234" and taken.proposal == (taken.x, taken.y) and taken.shown
    page.undo(running, "made0", 3)


def test_the_whole_skeleton_or_a_group_moves_and_stays_proposed(page, running):
    page.show("made2")
    all_of_it, two_of_it = ("Control+a", "Shift+ArrowRight", "ArrowDown"), ("Escape", "s", "]", "]", "s", "ArrowLeft")
    for keys, places in ((all_of_it, [(32, 23), (52, 63), (72, 103)]), (two_of_it, [(31, 23), (52, 63), (71, 103)])):
        page.press(*keys)
        page.saved()
        assert [(mark.state, mark.x, mark.y) for mark in marks_of(running, "made2")] == [("proposed", *at) for at in places]
    page.undo(running, "made2", 3)


def test_everything_without_a_mouse(page, running):
    page.show("made1")
    page.press("Delete")  # the proposal of the first landmark
    page.press("[", "[") if page.page.evaluate("landmarks.active") != 0 else None
    page.press("ArrowRight", "ArrowRight", "Shift+ArrowDown", "Enter")
    page.saved()
    assert marks_of(running, "made1")[0].state == "confirmed"
    before = marks_of(running, "made1")[0]
    page.press("[") if page.page.evaluate("landmarks.active") == 1 else None
    page.press("ArrowLeft", "Alt+ArrowUp")
    page.saved()
    after = marks_of(running, "made1")[0]
    assert (after.x - before.x, after.y - before.y) == pytest.approx((-1, -0.1))
    page.press("i", "m", "h", "l", "j", "2", "b", "Shift+C", "k", "+", "-", "Control+ArrowLeft")
    switched = "[landmarks.inverted, landmarks.view.mirrored, landmarks.marks.second_look]"
    shown = "[landmarks.showNames, landmarks.showLines, landmarks.crosshair]"
    assert all(page.page.evaluate(switched)) and not any(page.page.evaluate(shown))
    page.press("?")
    assert page.page.locator("#keys-dialog").is_visible()
    page.press("Escape", "t")
    assert page.page.locator("#progress-dialog").is_visible()
    page.press("Escape", "v")
    assert page.page.evaluate("() => !!document.activeElement.closest('#list-panel')")
    page.press("ArrowDown", "Enter", "PageDown")
    page.wait("() => landmarks.key.id !== 'made1'")
    page.saved()
    page.press(*["Control+z"] * 5)
    page.wait("() => !landmarks.marks.history.length")
    page.saved()


def test_a_second_reading_is_not_marked_to_be_looked_at_again(page, running):
    """The list, which shows such marks, is of first readings."""
    page.page.evaluate("() => landmarks.list.open({ id: 'made0', reading: 1 })")
    page.wait("() => landmarks.key.reading === 1")
    page.press("k")
    page.settle()
    page.saved()
    assert ("made0", 1) not in running.session.store.items and page.page.is_disabled("#second-look")
    assert "belongs to the first reading" in page.page.inner_text("#hint")


def test_an_undo_pressed_before_the_next_radiograph_is_there_is_not_lost(page, running):
    page.show("made0")
    page.press("Delete")
    page.saved()
    page.show("made2")
    slowly = """() => {
        const fetched = window.fetch;
        const wait = (url) => new Promise((go) => setTimeout(go, `${url}`.includes("/next") ? 200 : 600));
        window.fetch = async (url, ...more) => { await wait(url); return fetched(url, ...more); };
    }"""
    page.page.evaluate(slowly)
    page.press("PageDown", "Control+z")
    page.wait("() => !landmarks.marks.history.length && landmarks.key.id === 'made0'")
    page.saved()
    assert not any(marks_of(running, "made0"))


def test_an_outbox_loses_nothing_while_the_server_is_away(page):
    """All that waits may pass another window; what stood on a refused action is sent but not done; the next page takes over."""
    script = """async () => {
        const { Outbox } = await import('/page/api.js'), sent = [], fetched = window.fetch;
        let answers = ['away', 200, 409, 409, 409];
        window.fetch = async (url, more) => {
            if (url !== '/api/act') return fetched(url, more); // the page's own
            const answer = answers.shift();
            sent.push({ ...JSON.parse(more.body), answer });
            if (answer === 'away') throw new TypeError('away');
            return new Response('{}', { status: answer });
        };
        const refused = [], box = new Outbox('set', 'one', () => {}, (body) => refused.push(body.n));
        for (const n of [0, 1, 2]) box.add({ n, id: 'a', reading: 0, base: n });
        box.add({ n: 3, id: 'b', reading: 0, base: 0 });
        const lates = await new Promise((go) => setTimeout(() => go(box.queue.map((body) => body.late)), 50));
        while (box.waiting) await new Promise((go) => setTimeout(go, 50));
        answers = Array(99).fill('away');
        box.add({ n: 4, id: 'a', reading: 0, base: 0 });
        box.keep(Date.now() + 1e8); // closed before the clock was put back
        const next = new Outbox('set', 'two', () => {}, () => {});
        window.fetch = fetched;
        const taken = next.queue.map((body) => [body.n, body.late]);
        return { lates, sent: sent.map(({ n, base, answer }) => [n, base, answer]), refused, taken };
    }"""
    found = page.page.evaluate(script)
    assert found["lates"] == [True] * 4
    assert found["sent"][:5] == [[0, 0, "away"], [0, 0, 200], [1, 1, 409], [2, 1e9, 409], [3, 0, 409]]
    assert found["refused"] == [1, 2, 3] and found["taken"] == [[4, True]]


def test_a_radiograph_out_of_reach_does_not_keep_others_waiting(page):
    script = """async () => {
        const { Outbox } = await import('/page/api.js'), sent = [], fetched = window.fetch;
        let away = 3;
        window.fetch = async (url, more) => {
            if (url !== '/api/act') return fetched(url, more); // the page's own
            const { n, id } = JSON.parse(more.body), status = id === 'a' && away-- > 0 ? 422 : 200;
            sent.push([n, status]);
            return new Response('{}', { status });
        };
        const box = new Outbox('own', 'one', () => {}, () => {});
        for (const n of [0, 1]) box.add({ n, id: 'a', reading: 0, base: n });
        for (const n of [2, 3]) box.add({ n, id: 'b', reading: 0, base: n });
        while (box.waiting) await new Promise((go) => setTimeout(go, 50));
        window.fetch = fetched;
        return sent;
    }"""
    assert page.page.evaluate(script) == [[0, 422], [2, 200], [3, 200], [0, 422], [0, 422], [0, 200], [1, 200]]


def test_a_radiograph_opens_with_what_waits(page):
    script = """async () => {
        const { Marks } = await import('/page/marks.js'), marks = new Marks('set', ['a', 'b', 'c'], () => {}, () => {});
        const at = (x) => ({ state: 'confirmed', x, y: 0 });
        const act = (base, landmark, x) => ({ base, changes: [{ landmark, to: at(x) }] });
        const item = { marks: [at(1), null, null], proposal: null, version: 1, second_look: false };
        marks.open(item, {}, [act(0, 0, 1), act(1, 1, 2), act(2, 2, 3)]);
        return [marks.own.map((mark) => mark.x), marks.version];
    }"""
    assert page.page.evaluate(script) == [[1, 2, 3], 3]


def test_a_drag_that_the_system_takes_away_moves_nothing(page, running):
    page.show("made0")
    before = page.page.evaluate("() => landmarks.marks.at(0)")
    u, v = page.place_of(before["x"], before["y"])
    page.page.mouse.move(u, v)
    page.page.mouse.down()
    page.page.mouse.move(u + 30, v + 20, steps=3)
    page.press("a")  # nothing else is done meanwhile
    page.page.evaluate("() => document.getElementById('stage').dispatchEvent(new PointerEvent('pointercancel'))")
    page.page.mouse.up()
    page.page.mouse.move(u + 60, v + 40)
    page.settle()
    assert page.page.evaluate("() => landmarks.marks.at(0)") == before and not any(marks_of(running, "made0"))


def test_a_click_after_a_correction_places_the_next_landmark(page, running):
    page.show("dots")
    stage = page.stage()
    at = [(stage["x"] + u, stage["y"] + v) for u, v in ((200, 200), (300, 300), (200, 400))]
    page.page.mouse.click(*at[0])
    page.press("p", "ArrowRight")  # the first one is corrected, and stays the active one
    page.page.mouse.click(*at[1])
    page.page.mouse.click(*at[2])
    page.saved()
    assert [mark.state for mark in marks_of(running, "dots")] == ["confirmed"] * 3
    page.page.mouse.click(at[2][0] + 60, at[2][1])
    page.settle()
    assert "all landmarks are decided" in page.page.inner_text("#hint")
    page.undo(running, "dots", 4)


def test_the_crosshair_goes_on_from_the_last_point_and_a_button_gives_the_keys_back(page, running):
    page.show("dots")
    page.page.mouse.move(5, 5)
    for _ in range(3):
        page.press("Shift+ArrowDown", "Shift+ArrowRight", "Enter")
    page.saved()
    places = [(mark.x, mark.y) for mark in marks_of(running, "dots")]
    assert len(set(places)) == 3 and places[0] < places[1] < places[2]
    page.page.click("#mirror")
    page.press("Control+z", "Enter")
    page.saved()
    assert page.page.evaluate("() => landmarks.view.mirrored")  # Enter did not press the button again
    page.page.click("#mirror")
    page.press("p", "u", "Delete", "Control+z", "Control+z", "Control+z", "Control+z", "Control+z", "Control+z")
    page.wait("() => !landmarks.marks.history.length")
    page.saved()


def test_no_name_lies_over_another_point_or_name(page):
    """Of sixty points at random places, ever nearer; most names are drawn where there is room."""
    counted = page.page.evaluate("""() => [900, 300, 100].map((side) => {
        const svg = document.getElementById("overlay").cloneNode(false), names = [], on = [];
        document.getElementById("stage").append(svg);
        let random = 7;
        const draw = () => (random = (random * 48271) % 2147483647) / 2147483647;
        for (let k = 0; k < 60; k++) {
            names.push("WMil "[k % 5].repeat(1 + k % 14) + k);
            on.push([200 + side * draw(), 20 + 0.7 * side * draw()]);
        }
        const overlay = new landmarks.overlay.constructor(svg, names, []);
        overlay.points.forEach(({ group }, k) => group.setAttribute("transform", `translate(${on[k]})`));
        overlay.drawNames(on, true, -1);
        const box = (one) => one.getBoundingClientRect();
        const points = overlay.points.map(({ group }) => box(group.querySelector(".ring")));
        const shown = overlay.points.map(({ text }) => text).filter((one) => one.getAttribute("visibility") !== "hidden");
        const texts = shown.map(box);
        const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
        const over = texts.filter((one, n) => [...points, ...texts.slice(n + 1)].some((other) => meet(one, other)));
        svg.remove();
        return [texts.length, over.length];
    })""")
    drawn, over = zip(*counted)
    assert over == (0, 0, 0)
    assert drawn[0] > 40 and drawn[2] > 2


def test_a_server_that_is_away_is_said_before_anything_waits(page):
    page.show("made0")
    page.page.route("**/api/*", lambda route: route.abort())
    page.press("PageDown")
    page.page.wait_for_selector("#banner:has-text('The server does not answer')", timeout=WAIT)
    page.page.unroute("**/api/*")
    page.page.click("#banner button")
    page.wait("() => landmarks.key.id !== 'made0'")
    assert "does not answer" not in page.page.inner_text("#banner")
    page.errors.clear()  # the browser's own, of requests that failed


def test_names_are_shown_as_they_are_and_every_control_has_a_name(page):
    page.show(ODD)
    assert page.page.title().startswith(ODD) and page.page.inner_text("#title") == ODD
    assert page.page.locator("#landmarks button").nth(1).inner_text().strip().endswith(NAMES[1])
    assert page.page.evaluate("() => document.querySelectorAll('main img:not(#guide), b').length") == 0
    unnamed = """() => [...document.querySelectorAll('button, select, input, [role]')].filter(one => {
        const label = one.ariaLabel || one.textContent.trim() || one.labels?.[0]?.textContent || one.getAttribute('aria-label');
        return !label && !['banner', 'live'].includes(one.id);
    }).map(one => one.outerHTML)"""
    assert page.page.evaluate(unnamed) == []


def test_a_second_window_is_told_and_cannot_write(browser, running, page):
    page.show("made1")
    with Page(browser, running.link, page.context) as second:
        second.show("made1")
        assert "Another window" in second.page.inner_text("#banner")
        second.press("a", "x", "Delete")
        second.settle()
        assert not any(marks_of(running, "made1")) and second.page.locator("#accept-all").is_disabled()
        second.press("o")
        second.wait("() => !landmarks.marks.readonly")
        second.press("x")
        second.saved()
        page.wait("() => landmarks.marks.readonly")
        second.undo(running, "made1", 1)


def patiently(route) -> None:
    """A page that gives other windows half a minute to answer, which they may need on a busy machine."""
    answer = route.fetch()
    assert "PATIENCE_MS = 500" in answer.text()
    route.fulfill(response=answer, body=answer.text().replace("PATIENCE_MS = 500", "PATIENCE_MS = 30_000"))


def test_the_key_outlives_reloads_and_reaches_other_windows(browser, running, tmp_path):
    """Opened as label.py opens it, from a file, which is another site; then with addresses that have no token."""
    address = f"http://{running.host}/"
    with Page(browser, page_that_leads_to(running.link, tmp_path).as_uri()) as opened:
        assert opened.page.url == address
        opened.page.reload()
        opened.page.wait_for_selector("body[data-ready]", timeout=WAIT)
        opened.context.route("**/page/key.js", patiently)
        with Page(browser, address, opened.context):
            opened.page.close()
        opened.context.unroute("**/page/key.js")
        third = opened.context.new_page()  # nobody is left to ask
        third.goto(address)
        third.get_by_text("open the address that label.py printed last").wait_for(timeout=WAIT)


def test_the_guide_picture_is_shown(browser, serve):
    """It has to be fetched with the key, which an address in <img> does not carry."""
    server = serve(["a"], 2)
    with Page(browser, server.link) as opened:
        assert not opened.page.is_visible("#guide-figure")
        server.session.windows.held.clear()
        server.place("p0", 0, 20, 30)
        opened.page.reload()
        opened.wait("() => document.getElementById('guide').naturalWidth > 0")
        assert opened.page.is_visible("#guide-figure")


def test_two_readers_are_blind_to_each_other_and_a_third_look_settles(browser, running, serve):
    """The same radiograph by two readers; the comparison has their difference, and one of them is taken."""
    for reader, across in (("anna", 0.0), ("ben", 3.0)):
        server = serve(raw=running.session.collection.raw, reader=reader)
        assert not any(server.get("/api/item?id=made2")["marks"])
        for k in range(3):
            server.place("made2", k, 20 + 10 * k + (across if k == 1 else 0), 30.0)
        if reader == "anna":
            server.close()  # and has a table then
    with Page(browser, server.link) as opened:
        opened.press("r")
        opened.page.select_option("#one", "anna")
        opened.page.select_option("#two", "ben")
        row = opened.page.locator("#compare-body tbody tr").first
        row.wait_for(timeout=WAIT)
        assert NAMES[1] in row.inner_text() and "3.0" in row.inner_text()
        row.locator("button").click()
        opened.wait("() => landmarks.key.settle === true")
        assert "Third look" in opened.page.inner_text("#banner")
        opened.press("]")  # it is at one landmark
        opened.page.locator("#landmarks button").first.click()
        assert opened.page.evaluate("() => landmarks.active") == 1
        opened.press("1")
        opened.saved()
        mark = server.session.settled.item(("made2", 0)).marks[1]
        assert (mark.x, mark.y) == (30, 30) and marks_of(server, "made2")[1].x == 33
        looked = [1]
        for _ in range(3):  # on to the next differences, and from the last of them to the first again, but for what is settled
            opened.press("PageDown")
            opened.wait("k => landmarks.key.settle && landmarks.key.landmark !== k", looked[-1])
            looked.append(opened.page.evaluate("() => landmarks.active"))
        assert looked[1] == looked[3] and sorted(looked[1:3]) == [0, 2]
        opened.press("Escape")
        opened.page.get_by_text("settled").first.wait_for(timeout=WAIT)


def test_clicks_outlive_a_server_that_is_killed(browser, tmp_path):
    """kill -9 between two clicks: the page waits, a new server takes what was clicked meanwhile, nothing twice."""
    raw, link = make_pictures(tmp_path / "raw", 1), "http://127.0.0.1:{}/?token={}"
    with started(raw, "--landmarks", 4) as (process, port, token), Page(browser, link.format(port, token)) as opened:
        box = opened.stage()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        opened.page.mouse.click(x - 50, y)
        opened.saved()
        process.kill()
        process.wait()
        opened.page.mouse.click(x, y)
        opened.page.mouse.click(x + 50, y)
        opened.wait("() => document.getElementById('saved').textContent.startsWith('2 not saved')")
        with started(raw, port=port) as (_, port, token):
            opened.context.new_page().goto(link.format(port, token))  # the new link, in whatever window
            opened.saved()
        entries = [json.loads(line) for line in (raw / "labels" / "journal.jsonl").read_text().splitlines()]
        assert [entry["changes"][0]["landmark"] for entry in entries] == [0, 1, 2]
        opened.page.close()
        opened.errors.clear()  # the browser says of each attempt that nothing answered


def test_train_and_propose_from_the_page(browser, serve, monkeypatch):
    """The whole loop on a tiny set: the button, the commands as processes, proposals on the page."""
    flags = "--init '' --channels 8 --levels 3 --spatial_kernel 5 --stages 32x1 --precision float32 --batch_size 4"
    prepare = ("--size", "64", "--workers", "1", "--reference", "none")
    flags = Flags(prepare, shlex.split(flags), ("--finder_steps", "0"))
    server = serve(list("abcde"), 7, flags=flags, folds=2)
    truth = {f"p{n}": made_radiograph(seed=n)[1].round(3) for n in range(6)}
    for id, points in truth.items():
        for k, (x, y) in enumerate(points.tolist()):
            server.place(id, k, x, y)
    monkeypatch.setattr("labelling.order.BLIND_SHARE", 0.0)
    monkeypatch.setattr("labelling.jobs.GENTLY", ())  # other tests run beside
    with Page(browser, server.link) as opened:
        assert opened.page.evaluate("landmarks.key.id") == "p6"
        opened.press("t")
        opened.page.get_by_role("button", name="Train and propose").click()
        opened.page.get_by_text("step 1 of 4").wait_for(timeout=WAIT)
        server.session.job.thread.join(400)  # the browser, asked for the text meanwhile, would take as much time as the training
        opened.page.get_by_text(re.compile("train and propose: (done|failed)")).wait_for(timeout=WAIT)
        said = opened.page.inner_text("#progress-body")
        assert "train and propose: done" in said, said
        row = opened.page.locator("#progress-body tbody tr").inner_text()
        folder = server.session.labels / "rounds" / "main" / "001"
        measured = json.loads((folder / "network" / "out_of_fold.json").read_text())
        assert f"{measured['ipe_px']:.2f} px" in row and measured["images"] == 6
        opened.press("Escape")
        opened.wait("() => landmarks.marks.proposal?.points.length === 5")
        assert not any(marks_of(server, "p6")) and server.session.proposals["p6"].by.startswith("weights.pt ")
        table = read_points(folder / "raw" / "all_coordinates.csv")
        assert set(table) == set(truth) and all(np.allclose(table[id], truth[id]) for id in truth)
