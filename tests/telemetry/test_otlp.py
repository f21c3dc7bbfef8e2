"""Verdicts as OpenTelemetry events, against a collector on loopback that reads the protobuf."""

import socket
import threading
import time

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.service.world import NEW, NOW, commit, ingest, judge, request
from tidegauge.config import TelemetrySection
from tidegauge.domain import MINUTE, SECOND
from tidegauge.storage import exports
from tidegauge.storage.store import Store
from tidegauge.telemetry.otlp import NAME, Exporter, exporting
from tidegauge.testing.clock import ManualClock
from tidegauge.testing.loopback import Call, LoopbackServer

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector(LoopbackServer):
    """Takes OTLP logs. `refuse` of the first requests are answered with 400."""

    def __init__(self, refuse: int = 0) -> None:
        self.paths: list[str] = []
        self.records: list[tuple[dict, object]] = []
        self.refuse = refuse
        super().__init__()

    def respond(self, call: Call) -> None:
        with self.lock:
            self.paths.append(call.path)
            refused, self.refuse = self.refuse > 0, self.refuse - 1
            if not refused:
                sent = ExportLogsServiceRequest.FromString(call.body)
                for resource in sent.resource_logs:
                    about = {a.key: a.value.string_value for a in resource.resource.attributes}
                    for record in resource.scope_logs[0].log_records:
                        self.records.append((about, record))
        call.send(400 if refused else 200, b"")

    def ids(self) -> list[str]:
        return [attributes(record)["tidegauge.request_id"] for _, record in self.records]


def attributes(record) -> dict:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in record.attributes}


def section(url: str, **changes) -> TelemetrySection:
    return TelemetrySection(otlp_endpoint=url, timeout_seconds=changes.pop("timeout", 2.0), **changes)


def exporter(store: Store, url: str, clock: ManualClock) -> Exporter:
    made = Exporter(store, section(url), clock, draw=lambda: 1.0)
    made.begin()
    return made


def test_an_event_says_what_was_judged_and_by_whom(store: Store):
    with Collector() as collector:
        sender = exporter(store, collector.url, ManualClock(NOW))
        judge(store, [request(1, trace_id=TRACE, cohort="canary"), request(2)], bins=[5, 0])
        assert sender.export() == 2
        sender.close()
    assert collector.paths == ["/v1/logs"]
    about, record = collector.records[0]
    assert about["service.name"] == "tidegauge"
    assert record.event_name == "gen_ai.evaluation.result"
    assert record.time_unix_nano == NOW * 1000
    assert record.trace_id.hex() == TRACE
    assert collector.records[1][1].trace_id == b""
    found = attributes(record)
    assert found["gen_ai.evaluation.name"] == "hallucination"
    assert (found["gen_ai.evaluation.score.value"], found["gen_ai.evaluation.score.label"]) == (0.625, "hallucinated")
    assert (found["gen_ai.request.model"], found["tidegauge.deployment.id"]) == ("m-1", NEW.id)
    assert (found["tidegauge.intent"], found["tidegauge.cohort"]) == ("refunds", "canary")
    assert "tidegauge.experiment" not in found


def test_each_verdict_is_sent_once_also_by_the_next_process(store: Store):
    with Collector() as collector:
        clock = ManualClock(NOW)
        first = exporter(store, collector.url, clock)
        judge(store, [request(n) for n in range(5)])
        assert first.export() == 5
        assert first.export() == 0
        judge(store, [request(n) for n in range(5, 8)])
        second = exporter(store, collector.url, clock)
        assert second.export() == 3
    assert sorted(collector.ids()) == sorted({f"r-{n:05}" for n in range(8)})


def test_verdicts_from_before_it_was_on_are_not_sent(store: Store):
    judge(store, [request(1)])
    with Collector() as collector:
        assert exporter(store, collector.url, ManualClock(NOW + MINUTE)).export() == 0


def test_a_transaction_that_ended_late_is_found(store: Store):
    with Collector() as collector:
        clock = ManualClock(NOW - MINUTE)
        sender = exporter(store, collector.url, clock)
        judge(store, [request(1)])
        assert sender.export() == 1
        with store.write() as tx:
            ingest(tx, [request(2)])
        commit(store, [request(2)])
        with store.write() as tx:
            tx.script("UPDATE verdicts SET judged_at = judged_at - 30000000 WHERE request_id = 'r-00002'")
        assert sender.export() == 1
    assert collector.ids() == ["r-00001", "r-00002"]


def test_a_collector_that_refuses_is_asked_again_later(store: Store):
    with Collector(refuse=2) as collector:
        clock = ManualClock(NOW)
        sender = exporter(store, collector.url, clock)
        judge(store, [request(1)])
        assert sender.export() == 0
        assert sender.export() == 0
        assert len(collector.paths) == 1
        clock.advance(2 * SECOND)
        assert sender.export() == 0
        with store.read() as tx:
            assert [(row["exporter"], row["failed"]) for row in tx.rows("exporters")] == [(NAME, 2)]
        clock.advance(4 * SECOND)
        assert sender.export() == 1
    assert collector.ids() == ["r-00001"]


def test_one_process_at_a_time(store: Store):
    with Collector() as collector:
        clock = ManualClock(NOW)
        sender = exporter(store, collector.url, clock)
        judge(store, [request(1)])
        with store.write() as tx:
            assert tx.first("claim_export", exporter=NAME, now=NOW, until=NOW + MINUTE)
        assert sender.export() == 0
        clock.advance(MINUTE)
        assert sender.export() == 1


def test_what_was_sent_and_not_recorded_is_sent_again_and_nothing_is_lost(store: Store):
    with Collector() as collector:
        clock = ManualClock(NOW)
        dying = exporter(store, collector.url, clock)
        judge(store, [request(n) for n in range(3)])
        with store.write() as tx:
            claimed = exports.claim(tx, NAME, NOW, NOW + MINUTE, 2)
        assert claimed is not None
        assert dying._send(claimed[0])
        clock.advance(MINUTE)
        assert exporter(store, collector.url, clock).export() == 3
    assert sorted(collector.ids()) == ["r-00000", "r-00000", "r-00001", "r-00001", "r-00002"]


def test_a_collector_that_is_silent_does_not_hold_the_job_up(store: Store):
    silent = socket.create_server(("127.0.0.1", 0))
    judge(store, [request(1)])
    begun = time.monotonic()
    with exporting(store, section(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.5), ManualClock(NOW)):
        judge(store, [request(2)])
        worked = time.monotonic() - begun
    assert worked < 0.5
    assert time.monotonic() - begun < 5
    silent.close()
    with Collector() as collector:
        sender = exporter(store, collector.url, ManualClock(NOW + 20 * MINUTE))
        while sender.export():
            pass
    assert set(collector.ids()) >= {"r-00002"}


def test_beside_the_job_what_is_new_is_sent_before_the_end(store: Store):
    with Collector() as collector, exporting(store, section(collector.url), ManualClock(NOW)):
        judge(store, [request(n) for n in range(450)])
    assert len(set(collector.ids())) == 450
    assert not [t for t in threading.enumerate() if t.name == "otlp"]


@pytest.mark.parametrize("base", ["", "/", "/v1/logs"])
def test_the_path_is_added_once(store: Store, base: str):
    with Collector() as collector:
        sender = exporter(store, collector.url + base, ManualClock(NOW))
        judge(store, [request(1)])
        assert sender.export() == 1
    assert collector.paths == ["/v1/logs"]
