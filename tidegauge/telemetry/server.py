"""Metrics over HTTP while the job runs: /metrics for Prometheus, /healthz, /verdict for Argo Rollouts, /rollback for
Flagger's hook.

Nothing here needs a key, so it listens on loopback unless told otherwise.
"""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qs, urlsplit

from tidegauge.domain import Clock
from tidegauge.errors import TidegaugeError, UsageError
from tidegauge.service import intents
from tidegauge.service.burning import Objectives
from tidegauge.service.liveness import report, trouble
from tidegauge.service.verdict import verdict
from tidegauge.spelling import nearest
from tidegauge.storage.store import Store
from tidegauge.telemetry.prometheus import CONTENT_TYPE, metrics_text

_JSON = "application/json"
_FRESH_SECONDS = 2.0  # several scrapers at a time cost one reading
_SOCKET_SECONDS = 10.0
_LONGEST = 500  # characters of an intent in a URL

_LONGEST_BODY = 1 << 20

Reply = tuple[int, str, bytes]


class MetricsServer:
    """Answers from the store, in threads that end with it."""

    def __init__(
        self, store: Store, wanted: Objectives, clock: Clock, host: str, port: int, named: Sequence[str] = ()
    ) -> None:
        """`named` are the intents of the configuration, which are known before any request of them was read."""
        self._store, self._wanted, self._clock, self._named = store, wanted, clock, named
        self._lock = threading.Lock()
        self._kept: tuple[float, bytes] | None = None
        try:
            self._server = _Server((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(f"--metrics-port {port}: cannot listen on {host}: {error}") from None
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="metrics")

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @contextmanager
    def serving(self) -> Iterator["MetricsServer"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def reply(self, target: str) -> Reply:
        """What is answered; an error of the store is a 503 that does not tell its address."""
        url = urlsplit(target)
        pages = {
            "/metrics": self._metrics,
            "/healthz": self._health,
            "/verdict": self._verdict,
            "/rollback": self._rollback,
        }
        page = pages.get(url.path)
        if page is None:
            return 404, _JSON, _body({"error": f"there is {', '.join(pages)}"})
        try:
            return page({name: values[-1] for name, values in parse_qs(url.query, max_num_fields=8).items()})
        except (TidegaugeError, ValueError) as error:
            return 503, _JSON, _unreadable(url.path, error)

    def _metrics(self, _: dict[str, str]) -> Reply:
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > _FRESH_SECONDS:
                text = metrics_text(self._store, self._wanted, self._clock.now())
                self._kept = (time.monotonic(), text)
            return 200, CONTENT_TYPE, self._kept[1]

    def _health(self, _: dict[str, str]) -> Reply:
        with self._store.read() as tx:
            reasons = trouble(tx, self._clock.now())
        return 503 if reasons else 200, _JSON, _body(report(reasons))

    def _verdict(self, asked: dict[str, str]) -> Reply:
        intent = asked.get("intent", "")[:_LONGEST]
        if not intent:
            return 400, _JSON, _body({"error": "give ?intent=NAME, and &deployment=ID for another than the newest"})
        with self._store.read() as tx:
            names = intents.all_of(tx, self._named)
            if intent not in names and not asked.get("unseen"):
                said = intents.unknown("intent", intent, names, "&unseen=1")
                return 404, _JSON, _body({"error": said, "did_you_mean": nearest(intent, names)})
            return 200, _JSON, _body(verdict(tx, self._wanted.slo_of, intent, asked.get("deployment")))

    def _rollback(self, asked: dict[str, str]) -> Reply:
        """Flagger's rollback hook: success means that the canary has failed."""
        status, kind, body = self._verdict(asked)
        failed = status == 200 and json.loads(body)["phase"] == "failed"
        return 200 if failed else max(status, 409), kind, body


def _unreadable(path: str, error: Exception) -> bytes:
    said = f"the store cannot be read: {type(error).__name__}"
    return _body(report([said]) if path == "/healthz" else {"error": said})


def _body(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: MetricsServer


class _Handler(BaseHTTPRequestHandler):
    timeout = _SOCKET_SECONDS
    server_version = "tidegauge"
    sys_version = ""

    def do_GET(self) -> None:
        status, kind, body = cast(_Server, self.server).owner.reply(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """As GET: what a hook posts of itself is read and not looked at."""
        length = self.headers.get("Content-Length", "0")
        self.close_connection = not length.isdigit() or int(length) > _LONGEST_BODY
        if not self.close_connection:
            self.rfile.read(int(length))
            self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""
