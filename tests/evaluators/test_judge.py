"""The judge against a real server: every fault is a value."""

import asyncio
import socket
import time
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluators import endpoint as endpoints
from evaluators import judge as judges
from evaluators import limits
from evaluators.base import Outcome
from tests.evaluators.requests import REFUNDS, judge_of, request_of, settings_of
from tidegauge.config import JudgeSection
from tidegauge.domain import EvaluationState, Request
from tidegauge.errors import ConfigError
from tidegauge.testing.judge_server import Answer, Fault, JudgeServer
from tidegauge.testing.loopback import Call

JUDGED, UNSCORED, PENDING = EvaluationState.JUDGED, EvaluationState.UNSCORED, EvaluationState.PENDING
REQUEST = request_of("Refunds take 14 days.", REFUNDS, question="How long?")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "_BACKOFF", 0.01)


def asked(given_settings: JudgeSection, requests: Iterable[Request] = (REQUEST,)) -> list[Outcome]:
    """Outcomes of requests, one after the other, from one judge."""

    async def run() -> list[Outcome]:
        judge = judge_of(given_settings)
        await judge.open()
        try:
            return [await judge.evaluate(request) for request in requests]
        finally:
            await judge.close()

    return asyncio.run(run())


def ask(server: JudgeServer, **overrides: object) -> Outcome:
    return asked(settings_of(server, **overrides))[0]


@pytest.mark.parametrize(("label", "score"), [("hallucinated", 0.8), ("faithful", 0.2)])
def test_the_score_is_the_probability_of_a_hallucination(label: str, score: float) -> None:
    with JudgeServer(lambda _: Answer(label, 0.8, "because")) as server:
        outcome = ask(server)
    assert outcome.state is JUDGED
    assert outcome.score.score == pytest.approx(score)
    assert (outcome.score.label, outcome.score.confidence, outcome.score.reason) == (label, 0.8, "because")
    assert outcome.score.asks


def test_the_judge_is_asked_about_the_record_as_data() -> None:
    with JudgeServer() as server:
        ask(server)
        (request,) = server.counters.asked
    assert request.record == {"question": "How long?", "contexts": [REFUNDS], "response": "Refunds take 14 days."}
    roles = [m["role"] for m in request.body["messages"]]
    assert roles == ["system", "user"]
    assert "14 days." not in request.body["messages"][0]["content"].replace("within 14 days", "")
    schema = request.body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["label"]["enum"] == ["hallucinated", "faithful"]


@pytest.mark.parametrize("kind", ["malformed", "empty_choices", "body"])
def test_a_malformed_answer_is_asked_for_once_more(kind: str) -> None:
    with JudgeServer(faults=[Fault(kind)]) as server:  # type: ignore[arg-type]
        assert ask(server).state is JUDGED
        assert server.counters.requests == 2
    with JudgeServer(faults=[Fault(kind)] * 9) as server:  # type: ignore[arg-type]
        outcome = ask(server)
        assert server.counters.requests == 2
    assert outcome.state is UNSCORED
    assert (outcome.score.score, outcome.score.label) == (None, None)
    assert outcome.score.reason.startswith("malformed: ")


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 429, retry_after="0"),
        Fault("status", 429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
        Fault("status", 429, retry_after="nan"),
        Fault("status", 500),
        Fault("status", 503),
        Fault("reset"),
        Fault("truncated"),
    ],
    ids=lambda f: f"{f.kind}-{f.status}-{f.retry_after}",
)
def test_a_busy_or_broken_endpoint_is_tried_again_and_then_pending(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "LONGEST_WAIT", 0.05)
    monkeypatch.setattr(endpoints, "UNSAID_WAIT", 0.05)
    with JudgeServer(faults=[fault] * 4) as server:
        assert ask(server).state is JUDGED
        assert server.counters.requests == 5
    with JudgeServer(faults=[fault] * 9) as server:
        outcome = ask(server)
        assert server.counters.requests == 5
    assert outcome.state is PENDING
    assert outcome.score.score is None


def test_retry_after_is_honoured() -> None:
    with JudgeServer(faults=[Fault("status", 429, retry_after="0.4")]) as server:
        start = time.monotonic()
        assert ask(server).state is JUDGED
    assert time.monotonic() - start >= 0.4


def test_a_call_that_hangs_is_made_three_times_and_then_pending() -> None:
    with JudgeServer(faults=[Fault("hang")] * 4) as server:
        outcome = ask(server, timeout_seconds=0.3)
        assert server.counters.requests == 3
    assert outcome.state is PENDING
    assert "no answer within 0.3 s" in outcome.score.reason


def test_nobody_at_the_address_is_pending() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        (outcome,) = asked(JudgeSection(base_url=url, model="m"))
    assert outcome.state is PENDING
    assert "no connection" in outcome.score.reason


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_a_wrong_key_model_or_address_is_pending_at_once(status: int) -> None:
    with JudgeServer(faults=[Fault("status", status)] * 9) as server:
        assert ask(server).state is PENDING
        assert server.counters.requests == 1


@pytest.mark.parametrize(
    "fault", [Fault("status", 413), Fault("status", 422), Fault("status", 400, text="maximum context length is 8192")]
)
def test_a_record_that_is_refused_as_such_is_unscored(fault: Fault) -> None:
    with JudgeServer(faults=[fault]) as server:
        assert ask(server).state is UNSCORED
        assert server.counters.requests == 1


def test_a_judge_that_is_down_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DOWN_AFTER", 3)
    monkeypatch.setattr(judges, "_ATTEMPTS", 1)
    with JudgeServer(faults=[Fault("status", 500)] * 999) as server:
        outcomes = asked(settings_of(server), [REQUEST] * 20)
        assert server.counters.requests == 3
    assert {o.state for o in outcomes} == {PENDING}
    assert "down" in outcomes[-1].score.reason


class _Gateway(JudgeServer):
    """Says late that whoever is behind it does not answer."""

    def respond(self, call: Call) -> None:
        with self.lock:
            self.counters.requests += 1
        time.sleep(0.25)
        call.send_json(504, {"error": {"message": "upstream"}})


def test_slow_errors_are_failures_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DOWN_AFTER", 1)
    with _Gateway() as server:
        first, second = asked(settings_of(server, timeout_seconds=0.3), [REQUEST] * 2)
        assert server.counters.requests == 4  # a fifth would begin after three times the timeout
    assert (first.state, second.state) == (PENDING, PENDING)
    assert "504 Gateway Timeout" in first.score.reason
    assert "is down" in second.score.reason


def test_the_key_is_sent_and_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_JUDGE_API_KEY", "sk-very-secret")
    with JudgeServer(lambda r: Answer(reason=r.headers["authorization"])) as server:
        outcome = ask(server)
        assert server.counters.asked[0].headers["authorization"] == "Bearer sk-very-secret"
    assert "sk-very-secret" not in outcome.score.reason
    with JudgeServer(faults=[Fault("status", 401, text="bad key sk-very-secret")]) as server:
        assert "sk-very-secret" not in ask(server).score.reason


def test_the_version_names_rubric_and_model_and_the_hash_follows_them() -> None:
    one = judge_of(JudgeSection(base_url="http://127.0.0.1/v1", model="a"))
    other = judge_of(JudgeSection(base_url="http://127.0.0.1/v1", model="b"))
    assert one.version == "1.0.0+hallucination@1.0.0+a"
    assert one.content_hash != other.content_hash


@pytest.mark.parametrize(
    ("url", "model"),
    [("localhost:80", "m"), ("ftp://x/v1", "m"), ("http://", "m"), ("http://[x/v1", "m"), ("http://x/v1", "")],
)
def test_settings_that_cannot_work_are_refused(url: str, model: str) -> None:
    with pytest.raises(ConfigError, match=r"^judge\."):
        judge_of(JudgeSection(base_url=url, model=model))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.binary(max_size=80).map(lambda b: b.decode("latin-1")) | st.text(max_size=80), min_size=1, max_size=8)
)
def test_any_bytes_as_a_body_are_a_value(bodies: list[str]) -> None:
    faults = [Fault(kind, text=b) for b in bodies for kind in ("body", "body", "malformed", "malformed")]  # type: ignore[arg-type]
    with JudgeServer(faults=faults) as server:
        outcomes = asked(settings_of(server), [REQUEST] * (2 * len(bodies)))
    assert {o.state for o in outcomes} <= {UNSCORED, JUDGED}
