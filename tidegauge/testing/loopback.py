"""What the fake servers share: HTTP/1.1 on a free loopback port, in threads that end with the server."""

import json
import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast


class LoopbackServer:
    """Answers POST requests by `respond`, until `close`. As a context manager it closes itself."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def respond(self, call: "Call") -> None:
        raise NotImplementedError

    def close(self) -> None:
        if not self.closing.is_set():
            self.closing.set()
            self._server.shutdown()
            self._server.hang_up()
            self._server.server_close()
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Call:
    """One request, and the ways to answer it or to fail to."""

    def __init__(self, handler: "_Handler", body: bytes) -> None:
        self._handler = handler
        self.path = handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.body = body

    def send(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, *, missing: int = 0
    ) -> None:
        """Answers in one write. `missing`: bytes that the length promises and that never come."""
        named = {"content-type": "application/json", **(headers or {})}
        lines = [f"HTTP/1.1 {status} X", *(f"{n}: {v}" for n, v in named.items())]
        lines.append(f"content-length: {len(body) + missing}")
        self._handler.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        if missing:
            self._handler.close_connection = True

    def send_json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self.send(status, json.dumps(value).encode(), headers)

    def reset(self) -> None:
        """Breaks the connection without a word."""
        self._handler.close_connection = True
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class _Server(ThreadingHTTPServer):
    owner: LoopbackServer
    request_queue_size = 256
    daemon_threads = False  # so that closing the server joins its threads

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        with self._guard:
            self._connections.discard(request)
        super().close_request(request)

    def hang_up(self) -> None:
        """Ends the reading of all open connections, and so their threads."""
        with self._guard:
            for connection in self._connections:
                with suppress(OSError):  # it may have gone by itself
                    connection.shutdown(socket.SHUT_RD)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:  # the name is http.server's
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        cast(_Server, self.server).owner.respond(Call(self, body))

    def log_message(self, *_: object) -> None:
        """Says nothing."""
