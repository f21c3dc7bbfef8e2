"""Verdicts as OpenTelemetry events `gen_ai.evaluation.result`, over OTLP/HTTP.

Semantic conventions: https://github.com/open-telemetry/semantic-conventions-genai. Every new verdict is sent at least
once; a receiver knows a repetition by `tidegauge.request_id` and `gen_ai.evaluation.name`.
"""

import logging
import random
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from tidegauge.config import TelemetrySection
from tidegauge.domain import HOUR, SECOND, Clock, Micros
from tidegauge.errors import TidegaugeError
from tidegauge.storage import exports
from tidegauge.storage.store import Row, Store

EVENT = "gen_ai.evaluation.result"
NAME = "otlp"

_PORTION = 200
_LONGEST_TEXT = 1000
_EVERY_SECONDS = 2.0
_FIRST_WAIT = 2 * SECOND
_LONGEST_WAIT = HOUR // 6
_NANO = 1000
_TRACE = re.compile(r"^[0-9a-f]{32}$")

_log = logging.getLogger("tidegauge")


class _Traced(msgspec.Struct):
    """What of a stored request an event needs."""

    trace_id: str | None = None


_decoder = msgspec.json.Decoder(_Traced)


def event_of(row: Row) -> LogRecord:
    """The event of one verdict; texts of evaluators are cut."""
    attributes: dict[str, Any] = {
        "gen_ai.evaluation.name": row["indicator"],
        "gen_ai.evaluation.score.value": row["score"],
        "gen_ai.evaluation.score.label": row["label"],
        "gen_ai.evaluation.explanation": row["reason"][:_LONGEST_TEXT] or None,
        "gen_ai.request.model": row["model_version"],
        "error.type": "unscored" if row["state"] == "unscored" else None,
        "tidegauge.request_id": row["request_id"],
        "tidegauge.intent": row["intent"],
        "tidegauge.cohort": row["cohort"] or None,
        "tidegauge.experiment": row["experiment"] or None,
        "tidegauge.deployment.id": row["deployment"],
        "tidegauge.prompt_version": row["prompt_version"],
        "tidegauge.retrieval_index": row["retrieval_index"],
        "tidegauge.evaluator.name": row["evaluator"],
        "tidegauge.evaluator.version": row["version"],
        "tidegauge.evaluator.content_hash": row["content_hash"],
        "tidegauge.confidence": row["confidence"],
    }
    trace = (_decoder.decode(row["payload"]).trace_id or "").lower()
    record = LogRecord(
        timestamp=row["judged_at"] * _NANO,
        observed_timestamp=row["judged_at"] * _NANO,
        event_name=EVENT,
        severity_number=SeverityNumber.INFO,
        attributes={name: value for name, value in attributes.items() if value is not None},
    )
    if _TRACE.match(trace):
        record.trace_id = int(trace, 16)
    return record


class Exporter:
    """Sends what is new. `clock` and `draw` are the job's."""

    def __init__(
        self, store: Store, section: TelemetrySection, clock: Clock, draw: Callable[[], float] = random.random
    ) -> None:
        assert section.otlp_endpoint is not None
        self._store, self._clock, self._draw = store, clock, draw
        self._lease = round((2 * section.timeout_seconds + 10) * SECOND)
        self._resource = Resource.create({"service.name": section.service_name})
        endpoint = section.otlp_endpoint.rstrip("/")
        if not endpoint.endswith("/v1/logs"):
            endpoint += "/v1/logs"
        self._client = OTLPLogExporter(endpoint=endpoint, timeout=section.timeout_seconds)

    def begin(self) -> None:
        with self._store.write() as tx:
            exports.begin(tx, NAME, self._clock.now())

    def export(self) -> int:
        """One portion; how many events were sent. 0 as well where it failed, or is not due."""
        now = self._clock.now()
        with self._store.write() as tx:
            claimed = exports.claim(tx, NAME, now, now + self._lease, _PORTION)
        if claimed is None:
            return 0
        rows, failures = claimed
        accepted = not rows or self._send(rows)
        with self._store.write() as tx:
            if accepted:
                exports.succeeded(tx, NAME, rows, self._clock.now())
            else:
                exports.failed(tx, NAME, failures + 1, "not accepted", self._clock.now() + self._wait(failures))
        return len(rows) if accepted else 0

    def _send(self, rows: Sequence[Row]) -> bool:
        scope = InstrumentationScope("tidegauge")
        records = [ReadableLogRecord(event_of(row), self._resource, scope) for row in rows]
        return self._client.export(records) is LogRecordExportResult.SUCCESS

    def _wait(self, failures: int) -> Micros:
        """2 seconds, doubled each time up to 10 minutes, with jitter."""
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(failures, 20))
        return int(longest * (0.5 + self._draw() / 2))

    def close(self) -> None:
        """Ends what is being sent."""
        self._client.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def exporting(store: Store, section: TelemetrySection, clock: Clock) -> Iterator[None]:
    """Exports beside the job, in a thread of its own: a collector that is slow or down never holds the job up.

    At the end what is left is sent, for as long as one attempt may take; the rest waits in the store for the next run.
    """
    if section.otlp_endpoint is None:
        yield
        return
    exporter, ended = Exporter(store, section, clock), threading.Event()
    exporter.begin()
    thread = threading.Thread(target=_keep_exporting, args=(exporter, ended), daemon=True, name="otlp")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(section.timeout_seconds)
        exporter.close()
        thread.join(1)


def _keep_exporting(exporter: Exporter, ended: threading.Event) -> None:
    """Until the end, and then until nothing is left or an attempt fails."""
    while True:
        last = ended.is_set()
        try:
            sent = exporter.export()
        except TidegaugeError as error:
            _log.warning("export of verdicts: %s", error)
            sent = 0
        if not sent and last:
            return
        if not sent:
            ended.wait(_EVERY_SECONDS)
