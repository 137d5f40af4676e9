"""What the page asks and does: every address of the server's /api, from checked values to checked values."""

import statistics
from collections import Counter

import numpy as np
from starlette.exceptions import HTTPException

from joints.hand import MEAN_SHAPE
from labelling.marks import DECIDED, DONE, PLACED, STATES, as_json, mark_from
from labelling.proposals import as_lists, inside, rounded
from labelling.rounds import ROUNDS, rounds_of
from labelling.ruler import LEAST_PX, ruler_from
from labelling.session import SETTLED, Session
from labelling.store import AGAIN, FIRST, Change, Conflict, Item, Key, Store
from labelling.trust import anchoring_bias, differences, repeatability
from radiographs.pixel_size import BY_HAND, LEAST, MOST, Size
from runtime.files import DataError

PAGE = 200  # most rows of a list in one answer
FILTERS = ("all", *STATES, "second look", "unsure")


def text_in(body: dict, name: str, most: int = 400) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value or len(value) > most:
        raise HTTPException(400, f"expected {name} as a text")
    return value


def number_in(body: dict, name: str, low: int, high: int, default: int | None = None) -> int:
    value = body.get(name, default)
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise HTTPException(400, f"expected {name} as a number from {low} to {high}")
    return value


def check_inside(x: float, y: float, size: tuple[int, int]) -> None:
    if not inside(np.array([x, y]), size):
        raise HTTPException(400, "expected points inside the radiograph")


class Api:
    """Methods get_NAME(query) and post_NAME(body) are what /api/NAME answers; they raise HTTPException and DataError."""

    def __init__(self, session: Session):
        self.session = session
        self.gets = {name[4:]: getattr(self, name) for name in dir(self) if name.startswith("get_")}
        self.posts = {name[5:]: getattr(self, name) for name in dir(self) if name.startswith("post_")}

    def key(self, body: dict) -> Key:
        id = text_in(body, "id")
        if id not in self.session.collection.paths:
            raise HTTPException(404, "no such radiograph")
        return id, number_in(body, "reading", FIRST, AGAIN, FIRST)

    # Asking

    def get_session(self, _: dict) -> dict:
        session, collection = self.session, self.session.collection
        return {
            "name": session.name,
            "names": collection.names,
            "skeleton": collection.joint.skeleton,
            "shape": self.shape(),
            "reviewing": session.reviewing,
            "can_propose": session.options.propose is not None,
            "readers": session.readers(),
            "ruler": {"px": LEAST_PX, "mm": [LEAST, MOST], "by": BY_HAND},
        }

    def shape(self) -> list[list[float]] | None:
        """Landmarks (L, 2) for the drawing beside a name: a hand's mean, else those of the first annotated radiograph."""
        if self.session.collection.is_hand:
            return MEAN_SHAPE.tolist()
        source = self.session.guide_source()
        return None if source is None or not np.isfinite(source[1]).all() else source[1].tolist()

    def get_list(self, query: dict) -> dict:
        """A part of the list, filtered; counts are those of the whole set."""
        session = self.session
        shown, search = query.get("filter", "all"), query.get("search", "").lower()
        if shown not in FILTERS:
            raise HTTPException(400, f"expected a filter of {', '.join(FILTERS)}")
        offset, limit = number_in(query, "offset", 0, 10**9, 0), number_in(query, "limit", 1, PAGE, PAGE)
        rows, counts = [], Counter()
        with session.store.lock:
            for id in session.collection.paths:
                item = session.store.items.get((id, FIRST))
                row = {"id": id, "state": session.state(id), "unsure": item.unsure if item else 0}
                row["second_look"] = bool(item and item.second_look)
                kinds = {"all", row["state"], *(kind for kind in FILTERS[-2:] if row[kind.replace(" ", "_")])}
                counts.update(kinds)
                if shown in kinds and search in id.lower():
                    rows.append(row)
        if query.get("sort") == "doubt":
            rows = [row | self.doubt(row["id"]) for row in rows]
            rows.sort(key=lambda row: (not row["reviewed"], row["doubt"] is None, -(row["doubt"] or 0)))
        page = [row | self.doubt(row["id"]) for row in rows[offset : offset + limit]]
        return {"rows": page, "found": len(rows), "counts": {kind: counts[kind] for kind in FILTERS}}

    def doubt(self, id: str) -> dict:
        """How unsure the network is of a radiograph, so far as the reader may know; if `reviewed` as a prediction folder says."""
        proposal = self.session.shown_proposal((id, FIRST))
        if proposal is None:
            return {"doubt": None, "reviewed": False}
        return {"doubt": rounded(proposal.doubt), "reviewed": proposal.reviewed}

    def get_item(self, query: dict) -> dict:
        """One reading of a radiograph: its picture's size and kind, marks and proposals."""
        session, key = self.session, self.key(query)
        settle = query.get("settle") == "1"
        picture = session.pictures.get(key[0])
        store = session.store_of(settle)
        with store.lock:
            item, first = store.item(key), store.item((key[0], FIRST))
            if said := item.replaced_by(picture.width, picture.height):
                raise HTTPException(409, said)
            answer = {"id": key[0], "reading": key[1], "picture": picture.about(), "version": item.version}
            answer |= {"marks": [as_json(mark) for mark in item.marks], "second_look": item.second_look}
            answer |= {"ruler": first.ruler and first.ruler.as_json(), "proposal": None}
        others = self.others(query, key[0]) if settle else {}
        answer["others"] = [{"reader": name, "marks": [as_json(mark) for mark in one.marks]} for name, one in others.items()]
        pixel_mm, source = session.collection.pixel_size(key[0], picture.spacing_mm, picture.spacing_from, first.calibrated)
        if by_hand := [one.pixel_mm for one in others.values() if one.ruler]:
            pixel_mm, source = np.mean(by_hand, 0).tolist(), BY_HAND
        answer["pixel"] = {"mm": pixel_mm, "from": source}
        if not settle and (proposal := session.shown_proposal(key)):
            points = np.column_stack([proposal.points_px, proposal.regions])
            points[~inside(proposal.points_px, (picture.width, picture.height))] = np.nan  # the network lost it at the edge
            answer["proposal"] = {"by": proposal.by, "points": as_lists(points)}
        session.prepare_after(key[0])
        return answer

    def others(self, query: dict, id: str) -> dict[str, Item]:
        """What the two readers have that a third look settles between; both must have done the radiograph."""
        readers = [text_in(query, name) for name in ("one", "two")]
        found = {reader: self.session.other_store(reader).item((id, FIRST)) for reader in readers}
        for reader, item in found.items():
            if item.state != DONE:
                raise HTTPException(409, f"{reader} has not done {id}")
        return found

    def get_next(self, query: dict) -> dict:
        key = self.session.next(query.get("after"), query.get("peek") == "1")
        return {"id": None} if key is None else {"id": key[0], "reading": key[1]}

    def get_progress(self, _: dict) -> dict:
        session, store = self.session, self.session.store
        with store.lock:
            counts = Counter(map(session.state, session.collection.paths))
            pace = statistics.median(store.pace) if store.pace else None
            second = sum(item.second_look for (_, reading), item in store.items.items() if reading == FIRST)
        total = len(session.collection.paths)
        return {
            "counts": {state: counts[state] for state in STATES},
            "total": total,
            "second_look": second,
            "pace_s": pace,
            "left_s": None if pace is None else pace * (total - counts[DONE]),
            "again": repeatability(store, session.collection.joint.scale, session.collection.stated),
            "pull": anchoring_bias(store),
            "rounds": rounds_of(session.labels / ROUNDS / session.options.reader),
            "job": session.job.about() if session.job else None,
        }

    def get_compare(self, query: dict) -> dict:
        """Where two readers differ, worst first, and what the third look said of it."""
        session = self.session
        one, two = (session.other_store(text_in(query, name)) for name in ("one", "two"))
        if query["one"] == query["two"]:
            raise HTTPException(400, "expected two readers")
        rows = differences(one, two, session.collection.joint.scale, session.collection.stated)
        offset = number_in(query, "offset", 0, 10**9, 0)
        settled = session.settled or session.read_store(SETTLED)
        page = rows[offset : offset + PAGE]
        for row in page:
            mark = settled.item((row["id"], FIRST)).marks[row["landmark"]]
            row["settled"] = mark is not None and mark.state in DECIDED
        lengths = {name: [row[name] for row in rows if row[name] is not None] for name in ("px", "frame_px", "mm")}
        middle = {name: round(statistics.median(values), 3) if values else None for name, values in lengths.items()}
        radiographs = len({row["id"] for row in rows})
        return {"rows": page, "found": len(rows), "radiographs": radiographs, "median": middle}

    # Doing

    def place(self, body: dict) -> tuple[Key, Store, tuple]:
        """Key, marks and name of what a window works on.

        A window that was opened by another server at this address, of another set or reader, keeps its actions to itself.
        """
        if body.get("set", self.session.name) != self.session.name:
            raise HTTPException(412, "this server is another set's or reader's; start label.py as this window was opened")
        key, settle = self.key(body), body.get("settle") is True
        return key, self.session.store_of(settle), (*key, settle)

    def post_open(self, body: dict) -> dict:
        """Say that a window shows a radiograph; it may write where no other one does."""
        key, store, what = self.place(body)
        mine = self.session.windows.claim(what, text_in(body, "window", 80), body.get("take") is True)
        return {"mine": mine, "version": store.item(key).version}

    def post_leave(self, body: dict) -> dict:
        self.session.windows.leave(text_in(body, "window", 80))
        return {}

    def post_act(self, body: dict) -> dict:
        """Do a reader's action: one or several marks of one radiograph at once, its second look, or its pixel size."""
        key, store, what = self.place(body)
        session, window = self.session, text_in(body, "window", 80)
        action, base = text_in(body, "action", 80), number_in(body, "base", 0, 10**9)
        item = store.item(key)
        size, spacing = item.size, item.spacing
        if size is None:  # else the file need not be in reach
            picture = session.pictures.get(key[0])
            size = picture.width, picture.height
            spacing, _ = session.collection.pixel_size(key[0], picture.spacing_mm, picture.spacing_from)
        changes = self.changes(body, key, item, size, proposals=store is session.store)
        second = body["second_look"] if isinstance(body.get("second_look"), bool) else None
        ruler = self.ruler(body, key, what[-1], size, spacing)
        if not changes and second is None and ruler is None:
            raise HTTPException(400, "expected changes, a second look or a known length")
        # what a window sends once more, after the server was away, counts where nothing else has happened since
        late = body.get("late") is True and base == item.version
        may = session.windows.claim(what, window) or late
        try:
            more = {"size": list(size), "spacing": spacing and list(spacing), "second_look": second, "ruler": ruler}
            version = store.act(key, base, action, text_in(body, "what", 40), changes, may, window=window, **more)
        except Conflict as conflict:
            raise HTTPException(409 if may else 423, str(conflict)) from None
        return {"version": version, "state": store.item(key).state}

    def changes(self, body: dict, key: Key, item: Item, size: tuple[int, int], proposals: bool) -> list[Change]:
        """The marks of an action. Raises HTTPException where one is no landmark's, or lies outside the radiograph."""
        given = body.get("changes", [])
        if not isinstance(given, list) or len(given) > self.session.landmarks:
            raise HTTPException(400, "expected at most one change a landmark")
        changes = []
        for change in given:
            if not isinstance(change, dict):
                raise HTTPException(400, "expected changes of landmarks")
            k = number_in(change, "landmark", 0, self.session.landmarks - 1)
            try:
                mark = mark_from(change.get("to"))
            except DataError as error:
                raise HTTPException(400, str(error)) from None
            if mark is not None and mark.state in PLACED:
                check_inside(mark.x, mark.y, size)
            if proposals:
                mark = self.session.with_proposal(key, k, mark, item.marks[k], body.get("seen"), size)
            changes.append((k, mark))
        if len({k for k, _ in changes}) < len(changes):
            raise HTTPException(400, "expected at most one change a landmark")
        return changes

    def ruler(self, body: dict, key: Key, settle: bool, size: tuple[int, int], spacing: Size | None) -> dict | None:
        """What an action says of a known length: {} takes that away, None says nothing. Raises HTTPException."""
        if "ruler" not in body:
            return None
        if key[1] != FIRST or settle:
            raise HTTPException(400, "the pixel size belongs to the first reading; calibrate there")
        try:
            if ruler := ruler_from(body["ruler"] or {}):
                ruler.check(spacing)
        except DataError as error:
            raise HTTPException(400, str(error)) from None
        for end in ruler.ends if ruler else ():
            check_inside(*end, size)
        return ruler.as_json() if ruler else {}

    def post_train(self, _: dict) -> dict:
        return self.start("train")

    def post_propose(self, _: dict) -> dict:
        return self.start("propose")

    def start(self, what: str) -> dict:
        try:
            self.session.start_job(what)
        except DataError as error:
            raise HTTPException(409, str(error)) from None
        return {}

    def post_stop(self, _: dict) -> dict:
        if self.session.job:
            self.session.job.stop()
        return {}
