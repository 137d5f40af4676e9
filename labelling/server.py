"""The HTTP server: Python's own, since a page of one reader needs no more, and nothing further has to be installed.

Who may ask: only requests whose Host is one of this server's, with its port, since a foreign site's name may be made to lead to
this machine (DNS rebinding); only with the cookie that the launch token was exchanged for; writing only from this server's own
pages (Origin), as JSON, of a limited length. That holds for pictures and for the page's own files too.
"""

import hmac
import json
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from labelling.api import Api, Refused
from labelling.session import Session
from runtime.files import DataError

PAGE = Path(__file__).with_name("page")
KINDS = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
MAX_BODY = 1 << 20  # bytes of a request
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
WANTS_LINK = "open the address that label.py printed when it started"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], session: Session, served_as: list[str]):
        """`served_as`: further values of Host that lead here, through a proxy. Port 0 takes a free one."""
        super().__init__(address, Handler)
        self.session, self.api = session, Api(session)
        port = self.server_address[1]
        names = ["127.0.0.1", "localhost"] + ([address[0]] if address[0] not in ("", "0.0.0.0", "::") else [])
        self.hosts = {f"{name}:{port}".lower() for name in names} | {name.lower() for name in served_as}
        if port == 80:  # which browsers leave out
            self.hosts |= {name.lower() for name in names}
        self.cookie = f"label_{port}"  # cookies are of a host, whatever the port
        self.files = {path.name: path for path in PAGE.iterdir() if path.suffix in KINDS}

    @property
    def link(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{'127.0.0.1' if host in ('', '0.0.0.0', '::') else host}:{port}/?token={self.session.token}"

    def handle_error(self, request, client_address) -> None:
        """A browser that went away is no news; anything else is one line."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"{client_address[0]}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60  # s until a silent connection is closed

    def version_string(self) -> str:
        return "label.py"

    def log_message(self, *_) -> None:
        pass  # requests hold IDs of patients at times

    def do_GET(self) -> None:
        self.answer_to(self.get)

    def do_POST(self) -> None:
        self.answer_to(self.post)

    def answer_to(self, work) -> None:
        """Do a request, and turn whatever goes wrong into an answer of one line."""
        try:
            self.check_host()
            work()
        except Refused as refused:
            self.send_json({"error": str(refused)}, refused.status)
        except DataError as error:
            self.send_json({"error": str(error)}, 422)
        except ConnectionError:
            self.close_connection = True
        except OSError as error:
            said = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            self.send_json({"error": said}, 507)
        except MemoryError:
            self.send_json({"error": "not enough memory; close other programs"}, 507)
        except Exception as error:  # the page says so, and the server goes on
            print(f"{self.path.partition('?')[0]}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self.send_json({"error": f"the server failed ({type(error).__name__})"}, 500)

    # Guards

    def check_host(self) -> None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            self.close_connection = True
            raise Refused(421, "this server does not go by that name; see --served-as")

    def check_cookie(self) -> None:
        cookies = dict(part.strip().partition("=")[::2] for part in self.headers.get("Cookie", "").split(";"))
        if not self.is_token(cookies.get(self.server.cookie, "")):
            self.close_connection = True
            raise Refused(401, WANTS_LINK)

    def is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self.server.session.token.encode())

    def read_body(self) -> dict:
        """The JSON object of a POST from this server's own page."""
        self.close_connection = True  # unless the body is read
        scheme, _, host = self.headers.get("Origin", "").lower().partition("://")
        if scheme not in ("http", "https") or host not in self.server.hosts:
            raise Refused(403, "writing is for this server's own page")
        if self.headers.get_content_type() != "application/json":
            raise Refused(415, "expected JSON")
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not length.isascii() or not length.isdecimal():
            raise Refused(411, "expected a Content-Length")
        if int(length) > MAX_BODY:
            raise Refused(413, f"expected at most {MAX_BODY} bytes")
        content = self.rfile.read(int(length))
        self.close_connection = False
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            raise Refused(400, "expected JSON") from None
        if not isinstance(body, dict):
            raise Refused(400, "expected a JSON object")
        return body

    # Answers

    def get(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, max_num_fields=20))
        if url.path == "/" and "token" in query:
            return self.exchange(query["token"])
        self.check_cookie()
        if url.path == "/":
            return self.send_file("index.html")
        kind, _, name = url.path.removeprefix("/").partition("/")
        if kind == "page" and name in self.server.files:
            return self.send_file(name)
        if kind == "api" and name in self.server.api.gets:
            return self.send_json(self.server.api.gets[name](query))
        if kind == "picture" and not name:
            id, _ = self.server.api.key(query)
            return self.send(self.server.session.pictures.get(id).stored, "application/octet-stream")
        if kind == "guide" and name.isascii() and name.isdecimal() and int(name) < self.server.session.landmarks:
            crop = self.server.session.guide(int(name))
            return self.send(b"", "image/png", 204) if crop is None else self.send(crop, "image/png")
        if url.path == "/favicon.ico":
            return self.send(b"", "image/png", 204)
        raise Refused(404, "nothing is there")

    def post(self) -> None:
        try:
            self.check_cookie()
        finally:
            self.close_connection = True
        kind, _, name = urlsplit(self.path).path.removeprefix("/").partition("/")
        body = self.read_body()
        if kind != "api" or name not in self.server.api.posts:
            raise Refused(404, "nothing is there")
        self.send_json(self.server.api.posts[name](body))

    def exchange(self, token: str) -> None:
        """The launch token for a cookie that scripts cannot read and other sites do not send; the address is rid of it."""
        if not self.is_token(token):
            self.close_connection = True
            raise Refused(401, WANTS_LINK)
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Set-Cookie", f"{self.server.cookie}={token}; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def send_file(self, name: str) -> None:
        path = self.server.files[name]
        self.send(path.read_bytes(), KINDS[path.suffix])

    def send_json(self, value: object, status: int = 200) -> None:
        self.send(json.dumps(value, ensure_ascii=False).encode(), "application/json", status)

    def send(self, content: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library answers to a request that is none: in the same form, with the same headers."""
        self.close_connection = True
        self.send_json({"error": message or HTTPStatus(code).phrase}, code)
