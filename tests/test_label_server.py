"""label.py's server: who may ask and write, what it answers to nonsense, that nothing is lost however it ends."""

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import ExitStack, closing, contextmanager, suppress
from email.message import Message
from pathlib import Path
from urllib.request import url2pathname

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import ROOT, made_radiograph, make_raw

import label
from labelling.application import KEY, MAX_BODY
from labelling.collection import open_collection
from labelling.journal import entries_of
from labelling.proposals import Proposal
from labelling.server import HEADERS, PATIENCE_S, Server
from labelling.session import Options, Session
from runtime.files import DataError

KILLS = int(os.environ.get("LABEL_KILLS", 3))  # of the server in one driven session


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


def make_pictures(raw: Path, count: int = 4) -> Path:
    """A folder of made radiographs without any table."""
    raw.mkdir(parents=True)
    for number in range(count):
        iio.imwrite(raw / f"p{number}.png", made_radiograph(seed=number)[0])
    return raw


class Running:
    """A server in this process, and a client that has its cookie and key."""

    def __init__(self, raw: Path, names: list[str] | None = None, reviewed=None, served_as=(), **options):
        self.session = Session(open_collection(raw, names), Options(**options), reviewed)
        self.server = Server(("127.0.0.1", 0), self.session, served_as)
        self.session.begin()
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        self.port, self.host = self.server.port, f"127.0.0.1:{self.server.port}"
        doors = self.server.doors
        self.known = {"Cookie": f"{doors.cookie}={doors.secret}", KEY: doors.key}

    @property
    def link(self) -> str:
        return self.server.link

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Message, bytes]:
        """Status, headers and content; a header given as an empty text is left out."""
        return ask(self.port, method, path, body, self.known | {name.replace("_", "-"): value for name, value in headers.items()})

    def get(self, path: str):
        status, _, content = self.ask("GET", path)
        assert status == 200, content
        return json.loads(content)

    def post(self, path: str, body: dict):
        status, _, content = self.ask("POST", path, body)
        assert status == 200, content
        return json.loads(content)

    def place(self, id: str, k: int, x: float, y: float, **more) -> dict:
        version = self.get(f"/api/item?id={id}&reading={more.get('reading', 0)}")["version"]
        return self.post("/api/act", action_of(id, k, x, y, version) | more)

    def close(self) -> None:
        self.server.end()
        self.thread.join()
        self.session.close()


@pytest.fixture
def serve(tmp_path):
    """Starts servers in this process, each of a set of its own unless `raw` is given; they end with the test."""
    servers = []

    def opened(names=None, count: int = 4, raw: Path | None = None, **options) -> Running:
        raw = raw or make_pictures(tmp_path / f"set{len(servers)}", count)
        servers.append(Running(raw, names, **{"reading_again": False} | options))
        return servers[-1]

    yield opened
    for server in servers:
        server.close()


@contextmanager
def started(raw: Path, *more: object, **where) -> Iterator[tuple[subprocess.Popen, int, str]]:
    """label.py in a process of its own: the process, its port and launch token."""
    process, port, token = start(raw, *more, **where)
    with process:
        try:
            yield process, port, token
        finally:
            process.terminate()


def enter(port: int, token: str) -> dict[str, str]:
    """What a request for data carries, for a launch token."""
    status, headers, content = ask(port, "GET", f"/?token={token}", None, {})
    assert status == 200, content
    return {"Cookie": headers["Set-Cookie"].partition(";")[0], KEY: re.search('content="(.+?)"', content.decode())[1]}


def ask(port: int, method: str, path: str, body: object, headers: dict[str, str]) -> tuple[int, Message, bytes]:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    given = {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(content))}
    if method == "POST":
        given |= {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in (given | headers).items():
            if value:
                connection.putheader(name, value)
        connection.connect()
        cork = getattr(socket, "TCP_CORK", None)  # Linux
        if cork:  # headers and body in one packet: a body that comes after a refusal would reset the connection
            connection.sock.setsockopt(socket.IPPROTO_TCP, cork, 1)
        connection.endheaders(content or None)
        if cork:
            connection.sock.setsockopt(socket.IPPROTO_TCP, cork, 0)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def action_of(id: str, k: int, x: float, y: float, base: int, action: str = "") -> dict:
    changes = [{"landmark": k, "to": {"state": "confirmed", "x": x, "y": y}}]
    action = action or os.urandom(8).hex()
    return {"id": id, "reading": 0, "window": "w", "action": action, "base": base, "what": "place", "changes": changes}


def refused(server: Running, body: object, status: int = 400) -> str:
    """Why an action is not done, in one line."""
    answered, _, content = server.ask("POST", "/api/act", body)
    why = json.loads(content)["error"]
    assert answered == status and "\n" not in why
    return why


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    server = Running(make_pictures(tmp_path_factory.mktemp("set") / "raw"), ["a", "b", "c"])
    yield server
    server.close()


SECRETS = ("/", "/page/main.js", "/api/session", "/api/item?id=p0", "/picture?id=p0", "/guide/0")
LEAVE = ("POST", "/api/leave", {"window": "w"})


def test_nothing_without_the_cookie_and_no_data_without_the_key_of_the_page(running):
    """The key is what another port of this machine lacks: browsers send it the cookie, too."""
    for path in SECRETS:
        for cookie in ("", "label_1=x", f"label_{running.port}=", f"label_{running.port}={'x' * 32}", "=;"):
            status, headers, content = running.ask("GET", path, Cookie=cookie)
            assert status == 401 and b"label.py printed" in content and "Set-Cookie" not in headers
        assert running.ask("GET", path, Cookie="=;\0")[0] == 400
        assert running.ask("GET", path)[0] in (200, 204)
    token, cookie = running.server.doors.launch, running.known["Cookie"].partition("=")[2]
    for key in ("", "x", token, cookie, running.known[KEY][:-1], "\xe9"):
        assert running.ask(*LEAVE, **{KEY: key})[0] == 401
        assert all(running.ask("GET", path, **{KEY: key})[0] == 401 for path in SECRETS[2:])
    assert b"key" not in running.ask("GET", "/")[2].partition(b"<body>")[0]  # and the cookie does not get it


FOREIGN = ["", "evil.example", "127.0.0.1", "127.0.0.1:80", "evil.example:{port}", "127.0.0.1:{port}.evil", "[::1]:{port}"]


def test_a_foreign_name_is_refused_even_with_the_cookie(running):
    """DNS rebinding: a foreign site's name leads to this machine; its Origin then equals its Host."""
    asked = ("GET", "/api/session"), ("POST", "/api/leave"), ("GET", running.link.split(running.host)[1])
    for host in (name.format(port=running.port) for name in FOREIGN):
        for method, path in asked:
            status, headers, _ = running.ask(method, path, {"window": "w"}, Host=host, Origin=f"http://{host}")
            assert status in (400, 421) and "Set-Cookie" not in headers


def test_a_launch_token_counts_once(running):
    """It becomes a cookie that scripts cannot read, and a key that only this server's pages have; neither is the token."""
    link, doors = running.link, running.server.doors
    used = link.split(running.host)[1]
    status, headers, content = running.ask("GET", used, Cookie="", **{KEY: ""})
    assert status == 200 and running.known[KEY] in content.decode() and "token" not in content.decode()
    name, _, secret = running.known["Cookie"].partition("=")
    said = headers["Set-Cookie"].split("; ")
    assert said[0] == f"{name}={secret}" and {word.lower() for word in said[1:]} == {"httponly", "path=/", "samesite=strict"}
    assert len({secret, running.known[KEY], doors.launch, link.partition("=")[2]}) == 4
    assert running.ask("GET", used, Cookie="")[0] == 401 and "Set-Cookie" not in running.ask("GET", used)[1]
    assert running.known[KEY].encode() not in running.ask("GET", used)[2]  # the page is loaded anew
    assert running.link != link and enter(running.port, running.link.partition("=")[2]) == running.known
    for wrong in ("wrong", "%ff%00%e9", ""):
        assert running.ask("GET", f"/?token={wrong}", Cookie="")[0] == 401


def test_only_this_page_may_write(running):
    foreign = ("", "null", "http://evil.example", f"http://127.0.0.1:{running.port + 1}", f"http://{running.host}.evil")
    for origin in (*foreign, f"http://evil@{running.host}", f"extension://{running.host}", running.host):
        assert running.ask(*LEAVE, Origin=origin)[0] == 403
    assert running.ask(*LEAVE, Cookie="")[0] == 401 and running.ask(*LEAVE)[0] == 200
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert running.ask(*LEAVE, Content_Type=kind)[0] == 415  # what a form of a foreign site can send without asking first


def test_bodies_have_a_limit(running):
    assert running.ask("POST", "/api/leave", None, Content_Length=str(MAX_BODY + 1))[0] == 413
    for length in ("-1", "9" * 30, "9" * 5000, "\xb2"):
        assert running.ask("POST", "/api/leave", None, Content_Length=length)[0] == 400
    for length in ("", "5"):
        assert running.ask("POST", "/api/leave", b"0\r\n\r\n", Transfer_Encoding="chunked", Content_Length=length)[0] == 411
    for body in (b"[" * 100_000, b"[]"):
        assert running.ask("POST", "/api/leave", body)[0] == 400


def test_every_answer_has_the_headers(running):
    answers = [running.ask("GET", path) for path in (*SECRETS, "/nothing", "/api/item?id=none")]
    answers += [running.ask("GET", "/", Host="evil"), running.ask("PUT", "/"), running.ask("GET", "/", Cookie="")]
    for status, headers, _ in answers:
        assert {name: headers.get(name) for name in HEADERS} == HEADERS, status
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    page = running.ask("GET", "/")[2].decode()
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=|\sstyle=|javascript:|https?://", page)  # nothing inline or from the net


NO_FILES = ["/page/../../label.py", "/page/..%2f..%2flabel.py", "/page/%2e%2e/server.py", "//etc/passwd", "/page/"]
NO_FILES += ["/page/__init__.py", "/picture?id=../p0.png", "/picture?id=/etc/passwd", "/picture?id=p0.png", "/picture"]
NO_FILES += ["/picture/p0?id=p0", "/guide/99", "/guide/%C2%B2", "/api/__init__", "/api/act"]


def test_files_are_addressed_by_id_alone(running):
    for path in NO_FILES:
        status, _, content = running.ask("GET", path)
        assert status in (400, 404) and set(json.loads(content)) == {"error"}, path


BIG = "9" * 5000
NO_CHANGES = [{"landmark": 3}, {"landmark": -1}, {"landmark": "x"}, {"landmark": True}, {"to": 1}, {"to": {"state": "other"}}]
NO_CHANGES += [{"to": {"state": "confirmed", "x": x, "y": 1}} for x in ("1", None, 1e9, -0.6, 89.6, True)]
TEXTS = [("1,", f"{BIG[:400]},"), ("1,", f"{BIG},"), ("1,", "NaN,"), ('"base": 0', f'"base": {BIG}')]  # of more than 308 digits
TEXTS += [('"w"', '"\\ud800"'), ('"id"', '"\\udfff"')]


def test_nonsense_is_refused_in_one_line_and_changes_nothing(running):
    body = action_of("p3", 0, 1, 1, 0)
    for change in [5, None, *(body["changes"][0] | change for change in NO_CHANGES)]:
        refused(running, body | {"changes": [change]})
    for old, new in TEXTS:
        assert old in json.dumps(body)
        refused(running, json.dumps(body).replace(old, new, 1).encode())
    for path in (f"/api/list?offset={BIG}", f"/api/item?id=p0&reading={BIG}"):
        status, _, content = running.ask("GET", path)
        assert status == 400 and "\n" not in json.loads(content)["error"]
    assert not running.session.store.item(("p3", 0)).version


def test_other_methods_and_broken_requests(running):
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "HEAD"):
        status, headers, _ = running.ask(method, "/")
        assert status == 501 and "Access-Control-Allow-Origin" not in headers
    for line in (b"nonsense", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b", b"GET / HTTP/1.1\r\nA: " + b"a" * 40_000):
        said = raw_answers(running.port, line + b"\r\n\r\n")
        assert b'{"error": "Bad request"}' in said and b"nosniff" in said
    for path in (f"/?{'a=1&' * 30}", "//[", "http://[", "/%ed%a0%80", f"/?token={BIG}", f"/guide/{BIG}", "/page//"):
        for known in ({}, {"Cookie": "", KEY: ""}):
            status, _, content = running.ask("GET", path, **known)
            assert status in (400, 401, 404) or (path.startswith("/?") and status == 200), content


def raw_answers(port: int, sent: bytes) -> bytes:
    """What comes back on one connection until the server closes it."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), 20) as line, suppress(ConnectionError):
        line.sendall(sent)
        while part := line.recv(1 << 16):
            said += part
    return said


def head(running, path: str = "/api/session", method: str = "GET", **headers: object) -> bytes:
    given = {"Host": running.host} | running.known | {name.replace("_", "-"): value for name, value in headers.items()}
    if method == "POST":
        given |= {"Origin": f"http://{running.host}", "Content-Type": "application/json"}
    return "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]).encode()


def test_answers_go_out_at_once(running):
    """Else the second packet of an answer waits 40 ms for the first to be acknowledged."""
    with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)) as connection:
        for _ in range(2):  # on one connection
            connection.request("GET", "/page/key.js", headers=running.known)
            assert connection.getresponse().read()
        opened = {one.client: one.transport for one in list(running.server.uvicorn.server_state.connections)}
        mine = opened[connection.sock.getsockname()].get_extra_info("socket")
        assert mine.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_request_must_be_whole_in_time(running, monkeypatch):
    """Byte by byte, or not at all; a body that does not come; and silence after an answer."""
    monkeypatch.setattr("labelling.server.PATIENCE_S", 0.5)
    assert raw_answers(running.port, head(running)).count(b"HTTP/1.1 200") == 1
    for begun in (b"", head(running)[:-4], head(running, "/api/leave", "POST", Content_Length=1000)):
        with socket.create_connection(("127.0.0.1", running.port), 5) as line, pytest.raises(ConnectionError):
            line.sendall(begun)
            for _ in range(400):
                time.sleep(0.05)
                line.sendall(b"x")


EVIL = b"\x1b]0;owned\x07\x1b[2J"


def test_nothing_of_a_failure_steers_the_terminal(running, monkeypatch, capsys):
    def fail(_: dict) -> None:
        raise ValueError("\x1b[2J\n")

    monkeypatch.setitem(running.server.uvicorn.config.app.api.gets, "\x1b[31m", fail)
    status, _, content = running.ask("GET", "/api/%1b[31m")
    assert status == 500 and json.loads(content) == {"error": "the server failed (ValueError)"}
    assert capsys.readouterr().err == "/api/\\x1b[31m: ValueError: \\x1b[2J\\n\n"


def test_a_second_action_on_an_old_state_is_refused_and_kept_in_the_journal(running):
    running.place("p1", 0, 5, 6)
    assert "elsewhere" in refused(running, action_of("p1", 0, 50, 60, 0), 409)
    assert running.get("/api/item?id=p1")["marks"][0] == {"state": "confirmed", "x": 5.0, "y": 6.0}
    kept = [json.loads(line) for line in running.session.journal.path.read_text().splitlines()]
    assert [entry["changes"][0]["to"]["x"] for entry in kept if "refused" in entry] == [50.0]
    assert running.session.read_store("main").item(("p1", 0)).marks[0].x == 5  # by the next server, too
    body = action_of("p2", 0, 7, 8, 0, "once")
    assert running.post("/api/act", body) == running.post("/api/act", body)  # the same action twice counts once
    assert running.session.store.item(("p2", 0)).version == 1


def test_what_was_proposed_is_what_the_reader_saw_when_the_mark_was_made(serve):
    server = serve(["a", "b", "c"], without_proposals=False)

    def proposal(by: str, x: float) -> Proposal:
        return Proposal(np.full((3, 2), x, np.float32), np.ones((3, 3), np.float32), by, 1.0)

    def told(k: int) -> tuple:
        mark = server.session.store.item(("p0", 0)).marks[k]
        return mark.by, mark.proposal, mark.shown

    server.place("p0", 0, 5, 6)
    server.session.proposals["p0"] = proposal("old", 10)
    server.place("p0", 0, 6, 6)  # nudged after proposals came, which this mark covers
    assert told(0) == ("", None, False)
    server.place("p0", 1, 5, 6, seen="old")
    assert told(1) == ("old", (10, 10), True)
    server.session.earlier["p0"], server.session.proposals["p0"] = server.session.proposals["p0"], proposal("new", 20)
    server.place("p0", 1, 7, 6, seen="new")
    server.place("p0", 2, 5, 6, seen="old")  # a window that has not been told of the newest
    assert told(1) == told(2) == ("old", (10, 10), True)
    server.session.proposals["p0"] = proposal("beside", -5)  # which the page does not show
    server.session.store.items.clear()
    assert server.get("/api/item?id=p0")["proposal"]["points"] == [[None] * 5] * 3
    server.place("p0", 0, 5, 6, seen="beside")
    assert told(0) == ("", None, False)


def test_a_file_out_of_reach_or_damaged_costs_no_point(serve):
    server = serve(["a", "b", "c"])
    raw = server.session.collection.raw
    server.place("p0", 0, 5, 6)
    (raw / "p0.png").unlink()
    server.session.pictures.held.clear()
    assert server.post("/api/act", action_of("p0", 1, 7, 8, 1))["version"] == 2
    refused(server, action_of("p0", 1, 7000, 8, 2))
    iio.imwrite(raw / "p0.png", made_radiograph(seed=0)[0][::2])  # another picture than the points were placed on
    server.session.pictures.held.clear()
    status, _, content = server.ask("GET", "/api/item?id=p0")
    assert status == 409 and "was labelled on a picture of 90 x 120 px, and is one of 90 x 60 px" in json.loads(content)["error"]
    (raw / "p1.png").write_bytes(b"nothing")
    wait(list(server.session.pictures.coming.values()))  # as it was, it may be on its way, since it comes next
    server.session.pictures.held.clear()
    status, _, content = server.ask("GET", "/api/item?id=p1")
    assert status == 422 and "p1.png" in json.loads(content)["error"]


def test_the_guide_is_of_the_first_done_that_is_still_there(serve):
    server = serve(["a"], 2)
    raw = server.session.collection.raw
    for id in ("p0", "p1"):
        server.place(id, 0, 30, 40)
    server.close()
    (raw / "p0.png").unlink()
    status, headers, _ = serve(raw=raw).ask("GET", "/guide/0")
    assert (status, headers["Content-Type"]) == (200, "image/png")


def test_names_that_are_no_text_are_refused(tmp_path):
    raw = make_pictures(tmp_path / "raw", 1)
    try:
        os.rename(raw / "p0.png", os.path.join(os.fsencode(raw), b"m\xfc.png"))
    except OSError:
        pytest.skip("this system has no such names")
    with pytest.raises(DataError, match="expected names in UTF-8, found 'm"):
        open_collection(raw, ["a"])


def test_a_second_window_is_told_and_cannot_write(running):
    def opens(window: str, **more) -> bool:
        return running.post("/api/open", {"id": "p0", "reading": 0, "window": window} | more)["mine"]

    assert opens("first") and not opens("second")
    refused(running, action_of("p0", 0, 1, 1, 0) | {"window": "second"}, 423)
    assert opens("second", take=True) and not opens("first")
    running.post("/api/leave", {"window": "second"})
    assert opens("first")


def test_a_window_of_another_set_keeps_its_actions(running):
    """A server of another set was started at the same address: IDs may be the same there, radiographs are not."""
    body = action_of("p0", 0, 1, 1, 0)
    refused(running, body | {"set": "another"}, 412)
    assert running.ask("POST", "/api/open", {"id": "p0", "window": "w", "set": "another"})[0] == 412
    running.session.windows.held.clear()
    assert running.post("/api/act", body | {"set": running.get("/api/session")["name"]})["version"] == 1


def test_behind_a_proxy_its_name_is_taken_and_no_other(serve):
    server = serve(["a"], served_as=["Labels.Example.org"])
    cookie = f"other=1; {server.known['Cookie']}"
    for host, status in (("labels.example.org", 200), ("LABELS.example.org", 200), ("example.org", 421)):
        assert server.ask(*LEAVE, Host=host, Origin=f"https://{host}", Cookie=cookie)[0] == status


@pytest.mark.slow
def test_no_confirmed_point_is_lost_or_doubled_when_the_server_is_killed(tmp_path):
    """A driven session, the server killed at random moments; what was confirmed to the client is there, once."""
    raw, random, landmarks = make_pictures(tmp_path / "raw", 3), np.random.default_rng(0), 40
    told, versions, gone = {}, {}, suppress(ConnectionError, http.client.HTTPException)
    pending = None  # an action without an answer, which is sent again as the page does
    for _ in range(KILLS):
        with started(raw, "--landmarks", landmarks) as (process, port, token), gone:
            known = enter(port, token)
            left = random.integers(40)  # actions until the kill, which is at any moment of the following ones
            while True:
                if left == 0:
                    threading.Timer(random.uniform(0, 0.01), process.kill).start()
                left -= 1
                if pending is None:
                    id, k = f"p{random.integers(3)}", int(random.integers(landmarks))
                    x, y = random.uniform(0, 80, 2).round(3).tolist()
                    pending = action_of(id, k, x, y, versions.get(id, 0))
                status, _, content = ask(port, "POST", "/api/act", pending, known)
                assert status == 200, content
                mark = pending["changes"][0]["to"]
                told[pending["id"], pending["changes"][0]["landmark"]] = (mark["x"], mark["y"])
                versions[pending["id"]] = json.loads(content)["version"]
                pending = None
        assert process.returncode == -signal.SIGKILL
    with started(raw) as (process, port, token):
        known = enter(port, token)
        items = {f"p{n}": json.loads(ask(port, "GET", f"/api/item?id=p{n}", None, known)[2]) for n in range(3)}
    unanswered = pending and (pending["id"], pending["changes"][0]["landmark"])
    marks = {(id, k): items[id]["marks"][k] for id, k in told}
    lost = [key for key, point in told.items() if key != unanswered and (marks[key]["x"], marks[key]["y"]) != point]
    actions = [entry["action"] for entry in entries_of(raw / "labels" / "journal.jsonl")]
    doubled = len(actions) - len(set(actions))
    print(f"\n{KILLS} kills, {len(actions)} points confirmed: {len(lost)} lost, {doubled} doubled")
    assert not lost and not doubled and len(actions) >= len(told) > 0
    for id, version in versions.items():
        assert items[id]["version"] - version in (0, 1)  # one more where the last answer did not come
    table = (raw / "labels" / "readers" / "main.csv").read_text().splitlines()
    assert len(table) == 1 + sum(any(items[id]["marks"]) for id in items)


MISTAKES = [
    (["--raw", "{tmp}/none"], "expected a folder"),
    (["--raw", "{tmp}/empty"], "expected radiographs there"),
    (["--raw", "{tmp}/raw"], "--landmarks hand"),
    (["--raw", "{tmp}/raw", "--landmarks", "many"], "--landmarks: expected hand or a number"),
    (["--raw", "{tmp}/raw", "--names", "a,,b"], "--names: expected different names"),
    (["--raw", "{tmp}/raw", "--landmarks", "5", "--reader", "../x"], "--reader: expected a name"),
    (["--raw", "{tmp}/raw", "--landmarks", "5", "--reader", "settled"], "--reader: expected a name"),
    (["--raw", "{tmp}/raw", "--landmarks", "5", "--propose", "{tmp}/no.pt"], "no.pt: no such file"),
    (["--raw", "{tmp}/raw", "--review", "{tmp}/empty"], "--review names a folder"),
    (["--raw", "{tmp}/made", "--landmarks", "6"], "expected 6 landmarks"),
    (["--raw", "{tmp}/raw", "--labels", "{tmp}/mine", "--names", "a", "--export", "{tmp}/x"], "has done no radiograph yet"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    tmp = tmp_path_factory.mktemp("mistakes")
    (tmp / "empty").mkdir()
    make_pictures(tmp / "raw", 1)
    make_raw(tmp / "made")
    return tmp


def test_a_mistake_is_one_line(folders, capsys):
    for arguments, said in MISTAKES:
        assert label.main([*(word.format(tmp=folders) for word in arguments), "--no-browser", "--port", "0"]) == 1
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, arguments
    assert (folders / "mine" / "set.json").exists() and not (folders / "raw" / "labels").exists()  # --labels


def test_two_servers_of_one_reader_or_port(serve, capsys):
    server = serve(["a"])
    words = ["--raw", str(server.session.collection.raw), "--no-browser", "--port", str(server.port)]
    for more, said in (([], "another label.py works there as main"), (["--reader", "anna"], "cannot be opened")):
        assert label.main([*words, *more]) == 1
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


OPEN = ("--host", "0.0.0.0", "--served-as", "here:1")


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit, /proc and 127.0.0.2 are of Linux")
@pytest.mark.parametrize(("sign", "more"), [(signal.SIGTERM, ()), (signal.SIGINT, OPEN)])
def test_a_server_as_users_start_it(folders, sign, more):
    """What other machines reach, at which names; idle connections do not lock the reader out; it ends at once, without a word.

    127.0.0.2 is this machine too, at an address that a server does not listen at which is not told to. 400 connections are more
    than the 300 files that this one may have open; of the usual 1,024 it takes 1,000.
    """
    with started(folders / "raw", "--reader", "ends", "--landmarks", 2, *more) as (process, port, token):
        known = enter(port, token)
        try:
            socket.create_connection(("127.0.0.2", port), 5).close()
            assert more
        except ConnectionError:
            assert not more
        for host, status in ((f"127.0.0.2:{port}", 421), (f"127.0.0.1:{port}", 200), ("here:1", 200 if more else 421)):
            assert ask(port, "GET", "/api/session", None, known | {"Host": host})[0] == status
        addressed = b" HTTP/1.1\r\nHost: 127.0.0.1:%d" % port
        for line in (b"GET http://[" + EVIL + addressed, EVIL, b"GET /%1b[2J HTTP/1.1\r\nHost: x"):
            raw_answers(port, line + b"\r\nConnection: close\r\n\r\n")
        resource = pytest.importorskip("resource")
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (300, 300))
        with ExitStack() as idle:
            for _ in range(400):
                idle.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            begun = time.monotonic()
            assert ask(port, "GET", "/api/session", None, known)[0] == 200 and time.monotonic() - begun < PATIENCE_S / 2
            window = idle.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port)))
            window.request("GET", "/api/session", headers=known)
            assert window.getresponse().status == 200
            loaded = Path(f"/proc/{process.pid}/maps").read_text()
            slow = "libtorch", "/scipy/", "SimpleITK"  # seconds until the first picture
            assert not any(library in loaded for library in slow)
            process.send_signal(sign)
            begun = time.monotonic()
            assert process.wait(20) == 0 and time.monotonic() - begun < PATIENCE_S / 2
        out, said = process.communicate()
        assert "for another window: http://127.0.0.1" in out
        words = ("other machines can reach this server", "ssh -L", "proxy")
        assert all(word in said for word in words) and "\x1b" not in said if more else said == ""


@pytest.mark.skipif(sys.platform != "linux", reason="$BROWSER is of Linux")
def test_the_browser_is_opened_through_a_file_of_this_user_alone(tmp_path):
    """So that the token stands in no command line, which all users of a machine can read."""
    raw, told = make_pictures(tmp_path / "raw", 1), tmp_path / "told"
    (tmp_path / "browser").write_text(f'#!/bin/sh\necho "$@" > "{told}.part"; mv "{told}.part" "{told}"\n')
    (tmp_path / "browser").chmod(0o755)
    words = [sys.executable, "label.py", "--raw", str(raw), "--landmarks", "2", "--port", "0"]
    environment = os.environ | {"BROWSER": f"{tmp_path / 'browser'} %s", "DISPLAY": ":0"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, cwd=ROOT, env=environment, text=True, **streams) as process:
        link = process.stdout.readline().strip()
        until = time.monotonic() + 60
        while not told.exists() and time.monotonic() < until:
            time.sleep(0.05)
        said = told.read_text().strip()
        port, token = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]+)", link).groups()
        page = Path(url2pathname(said.removeprefix("file://")))
        assert said.startswith("file:///") and token not in said and f"url={link}" in page.read_text()
        assert stat.S_IMODE(page.stat().st_mode) == 0o600
        enter(int(port), token)
        assert not page.exists()
        process.terminate()
        process.communicate(timeout=20)
        assert process.returncode == 0 and not list(raw.rglob("*.html"))
