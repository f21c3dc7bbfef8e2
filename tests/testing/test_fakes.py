"""The fakes do what they say."""

import json
import threading
from datetime import UTC, datetime

import httpx
import msgspec
import pytest
from standardwebhooks import Webhook

from tidegauge.domain import HOUR, iso
from tidegauge.testing.clock import ManualClock
from tidegauge.testing.factory import request_line, request_record
from tidegauge.testing.judge_server import Answer, Fault, JudgeServer
from tidegauge.testing.receiver import Reply, WebhookReceiver

SECRET = "whsec_" + "QUJD" * 8


def test_the_clock_stands_until_it_is_moved() -> None:
    clock = ManualClock()
    assert iso(clock.now()) == "2026-01-01T00:00:00.000Z"
    assert clock.advance(HOUR) == clock.now() == ManualClock().now() + HOUR
    clock.set(5)
    assert clock.now() == 5


def test_lines_are_the_same_every_time_and_fields_can_be_left_out() -> None:
    assert request_line(3) == request_line(3) != request_line(4)
    assert request_line(3).endswith(b"\n")
    record = msgspec.json.decode(request_line(3, intent="x", question=None))
    assert record["intent"] == "x"
    assert "question" not in record
    assert request_record(3, extra_field=1)["extra_field"] == 1


def test_the_judge_server_counts_what_it_did() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": 'BEGIN RECORD 1\n{"response": "x"}\nEND RECORD 1'}]}
    with JudgeServer(lambda r: Answer(r.record["response"]), faults=[Fault("status", 503), None]) as server:
        replies = [httpx.post(f"{server.base_url}/chat/completions", json=body) for _ in range(3)]
        assert [r.status_code for r in replies] == [503, 200, 200]
        assert json.loads(replies[1].json()["choices"][0]["message"]["content"])["label"] == "x"
        counters = server.counters
        assert (counters.requests, counters.answered, counters.faulted, counters.in_flight) == (3, 2, 1, 0)
        assert httpx.post(f"{server.url}/else", json=body).status_code == 404


@pytest.mark.parametrize("kind", ["reset", "truncated"])
def test_a_broken_connection_is_broken(kind: str) -> None:
    fault = Fault(kind)  # type: ignore[arg-type]
    with JudgeServer(faults=[fault]) as server, pytest.raises(httpx.TransportError):
        httpx.post(f"{server.base_url}/chat/completions", json={})


def test_closing_ends_hanging_requests_and_all_threads() -> None:
    before = threading.active_count()
    server = JudgeServer(faults=[Fault("hang")])
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.base_url}/chat/completions", json={}, timeout=0.2)
    server.close()
    server.close()
    assert threading.active_count() == before


def test_the_receiver_checks_signatures_and_keeps_what_came() -> None:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, "{}"),
    }
    with WebhookReceiver(SECRET, replies=[Reply(429, retry_after="7")]) as receiver:
        assert httpx.post(receiver.hook, content=b"{}", headers=headers).headers["retry-after"] == "7"
        assert httpx.post(receiver.hook, content=b"{ }", headers=headers).status_code == 200
        assert httpx.post(receiver.hook, content=b"\xff").status_code == 200
        assert [d.verified for d in receiver.deliveries] == [True, False, False]
        assert receiver.deliveries[0].webhook_id == "msg_1"
        assert receiver.deliveries[1].body == b"{ }"
