"""Who may ask what, every address of the server, and the one place where what goes wrong becomes an answer.

Asked may be only under a name of this server, with its port, since a foreign site's name may be made to lead to this machine (DNS
rebinding); only with the cookie that a launch token was exchanged for; for data, pictures too, also with the page's key, since a
browser sends a cookie to every port of this machine. Written only from this server's own pages (Origin), as JSON, of a limited
length.
"""

import asyncio
import hmac
import json
import secrets
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router

from labelling.api import Api
from labelling.session import Session
from runtime.files import DataError

PAGE = Path(__file__).with_name("page")
KINDS = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
THREADS = 16  # requests that are done at once
MAX_BODY = 1 << 20  # bytes of a request
KEY = "X-Label-Key"  # the header with the page's key, which the page has from a launch token and keeps in its sessionStorage
HEAD, WITH_KEY = "<head>", '<head>\n<meta name="key" content="{}">'  # of the page, as a launch token opens it


class Doors:
    """The names that lead to this server; the launch token, which counts once; the cookie and the key that it opens."""

    def __init__(self, names: set[str], port: int, served_as: Sequence[str]):
        self.hosts = {name.lower() for name in served_as} | {f"{name}:{port}".lower() for name in names}
        if port == 80:  # which browsers leave out
            self.hosts |= {name.lower() for name in names}
        self.cookie = f"label_{port}"  # cookies are of a host, whatever the port
        self.launch, self.secret, self.key = (secrets.token_urlsafe(24) for _ in range(3))

    def check(self, request: Request) -> None:
        """Raises HTTPException where a request may not have what it asks for."""
        path, hosts = request.scope["path"], request.headers.getlist("Host")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            raise HTTPException(421, "this server does not go by that name; see --served-as")
        if request.method not in ("GET", "POST"):
            raise HTTPException(501, "expected GET or POST")
        if self.is_launch(request):
            return
        keyless = path in ("/", "/favicon.ico") or path.startswith("/page/")  # no data, and links carry no header
        if not same(request.cookies.get(self.cookie), self.secret) or not (keyless or same(request.headers.get(KEY), self.key)):
            raise HTTPException(401, "open the address that label.py printed last")
        scheme, _, host = request.headers.get("Origin", "").lower().partition("://")
        if request.method == "POST" and (scheme not in ("http", "https") or host not in self.hosts):
            raise HTTPException(403, "writing is for this server's own page")

    def is_launch(self, request: Request) -> bool:
        return request.scope["path"] == "/" and same(request.query_params.get("token"), self.launch)


class Application:
    def __init__(self, session: Session, doors: Doors, entered: Callable[[], None]):
        """`entered` is called when the launch token has been used, and another one counts."""
        self.session, self.api, self.doors, self.entered = session, Api(session), doors, entered
        self.files = {path.name: path for path in PAGE.iterdir() if path.suffix in KINDS}
        self.threads = ThreadPoolExecutor(THREADS, "answers")
        self.guides = {str(k): k for k in range(session.landmarks)}
        gets = {"/": self.start, "/page/{name}": self.file, "/favicon.ico": self.no_picture}
        apart = {"/api/{name}": self.ask, "/picture": self.picture, "/guide/{name}": self.guide}
        gets |= {path: partial(self.in_thread, work) for path, work in apart.items()}
        routes = [Route(path, answer, methods=["GET"]) for path, answer in gets.items()]
        self.router = Router([*routes, Route("/api/{name}", self.do, methods=["POST"])], redirect_slashes=False)

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        """Do a request, and turn whatever goes wrong into an answer of one line."""
        scope["app"] = self  # so that the router raises where it has no route
        try:
            self.doors.check(Request(scope))
            await self.router(scope, receive, send)
        except Exception as error:
            await told(error, scope["path"])(scope, receive, send)

    async def start(self, request: Request) -> Response:
        """The page; for the launch token with its key, and with a cookie that scripts cannot read."""
        page = self.files["index.html"]
        if not self.doors.is_launch(request):
            return send_file(page)
        self.doors.launch = secrets.token_urlsafe(24)
        self.entered()
        content = page.read_text(encoding="utf-8").replace(HEAD, WITH_KEY.format(self.doors.key))
        response = Response(content, media_type=KINDS[".html"])
        response.set_cookie(self.doors.cookie, self.doors.secret, httponly=True, samesite="strict")
        return response

    async def file(self, request: Request) -> Response:
        return send_file(found(request, self.files))

    def ask(self, request: Request) -> Response:
        return as_json(found(request, self.api.gets)(dict(request.query_params)))

    async def no_picture(self, _: Request) -> Response:
        return Response(status_code=204)

    async def do(self, request: Request) -> Response:
        """Something that is posted; the body is read here, the rest is for a thread."""
        if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "expected JSON")
        length = request.headers.get("Content-Length")  # digits, as h11 has seen to
        if length is None or "Transfer-Encoding" in request.headers:
            raise HTTPException(411, "expected a Content-Length")
        if int(length) > MAX_BODY:
            raise HTTPException(413, f"expected at most {MAX_BODY} bytes")
        body = await request.body()
        return await self.in_thread(lambda _: as_json(found(request, self.api.posts)(object_in(body))), request)

    async def in_thread(self, work: Callable[[Request], Response], request: Request) -> Response:
        """What may wait for a file or a lock; Starlette's own threads are slower, and take 80 ms to begin."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work, request)

    def picture(self, request: Request) -> Response:
        id, _ = self.api.key(dict(request.query_params))
        return Response(self.session.pictures.get(id).stored, media_type="application/octet-stream")

    def guide(self, request: Request) -> Response:
        crop = self.session.guide(found(request, self.guides))
        return Response(status_code=204) if crop is None else Response(crop, media_type="image/png")


def send_file(path: Path) -> Response:
    return Response(path.read_bytes(), media_type=KINDS[path.suffix])


def same(given: str | None, secret: str) -> bool:
    return hmac.compare_digest((given or "").encode(), secret.encode())


def found(request: Request, table: dict):
    """What an address names. Raises HTTPException."""
    name = request.path_params["name"]
    if name not in table:
        raise HTTPException(404)
    return table[name]


def object_in(content: bytes) -> dict:
    """The JSON object of a body. Raises HTTPException, also where its texts are none, such as half a surrogate pair."""
    try:
        body = json.loads(content)
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise HTTPException(400, "expected JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "expected a JSON object")
    return body


def as_json(value: object, status: int = 200) -> Response:
    content = json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")
    return Response(content, status, media_type="application/json")


def told(error: Exception, path: str) -> Response:
    """The answer to an error; what nobody expected also stands in the terminal, without what could steer that."""
    status, why = 500, f"the server failed ({type(error).__name__})"
    match error:
        case HTTPException():
            status, why = error.status_code, error.detail
        case DataError():
            status, why = 422, str(error)
        case OSError():
            status, why = 507, f"{error.filename}: {error.strerror}" if error.filename else str(error)
        case MemoryError():
            status, why = 507, "not enough memory; close other programs"
        case ClientDisconnect():
            pass
        case _:
            print(ascii(f"{path}: {type(error).__name__}: {error}")[1:-1], file=sys.stderr, flush=True)
    return as_json({"error": why}, status)
