"""The HTTP server: uvicorn, with limits on what a connection may hold and for how long."""

import asyncio
import socket
from collections.abc import Callable, Sequence

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from labelling.application import Application, Doors
from labelling.session import Session

MAX_HEAD = 1 << 14  # bytes of a request's first line and headers
CONNECTIONS = 100  # at once; a browser has six
PATIENCE_S = 20  # until a request is whole, and until a silent connection is closed
GRACE_S = 5  # for answers under way when the server ends
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class Connection(H11Protocol):
    """uvicorn's connection, with a deadline for requests; when there are many, new ones take the place of idle ones."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else answers wait for 40 ms
        self.since = self.loop.time()  # s, from when on it waits for a request
        self.look()
        if len(self.connections) > CONNECTIONS:
            idle = [one for one in self.connections if one.waits() and one is not self]
            # those that never asked for anything go first
            min(idle, key=lambda one: (one.cycle is not None, one.since), default=self).end()

    def waits(self) -> bool:
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def look(self) -> None:
        """End where no request has become whole in time, else look again."""
        left = self.since + PATIENCE_S - self.loop.time() if self.waits() else PATIENCE_S
        if left <= 0:
            self.end()
        elif not self.transport.is_closing():
            self.loop.call_later(left, self.look)

    def end(self) -> None:
        self.connections.discard(self)
        self.transport.abort()

    def on_response_complete(self) -> None:
        self.since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """What is answered to a request that is none: in the form of all other answers."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [*self.server_state.default_headers, (b"content-type", b"application/json"), (b"connection", b"close")]
            said = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            answer = (said, h11.Data(data=b'{"error": "Bad request"}'), h11.EndOfMessage())
            self.transport.write(b"".join(map(self.conn.send, answer)))
        self.transport.close()


class Server:
    def __init__(
        self, address: tuple[str, int], session: Session, served_as: Sequence[str] = (), entered: Callable = lambda: None
    ):
        """`served_as`: further values of Host that lead here, through a proxy. `entered`: called when a link has been used.

        Port 0 takes a free one. Raises OSError.
        """
        self.socket = socket.create_server(address, backlog=CONNECTIONS)
        self.port = self.socket.getsockname()[1]
        self.host = "127.0.0.1" if address[0] in ("", "0.0.0.0") else address[0]  # those are all addresses of this machine
        self.doors = Doors({"127.0.0.1", "localhost", self.host}, self.port, served_as)
        config = uvicorn.Config(
            Application(session, self.doors, entered),
            http=Connection,
            ws="none",
            loop="asyncio",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            log_level="critical",  # requests hold IDs of patients at times, and bytes that steer a terminal
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=list(HEADERS.items()),
            h11_max_incomplete_event_size=MAX_HEAD,
            backlog=CONNECTIONS // 2,  # that are accepted at one go, before any other can be closed for them
            timeout_keep_alive=PATIENCE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        self.uvicorn = uvicorn.Server(config)

    @property
    def link(self) -> str:
        """The address that opens the page, once; there is another one then."""
        return f"http://{self.host}:{self.port}/?token={self.doors.launch}"

    def run(self) -> None:
        """Answer until `end`, or a signal, which is then raised again."""
        self.uvicorn.run(sockets=[self.socket])

    def end(self) -> None:
        self.uvicorn.should_exit = True
