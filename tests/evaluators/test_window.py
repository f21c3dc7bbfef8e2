"""The window: bounded, across elements, nothing lost, nothing held up."""

import asyncio
import gc
import threading
import time

import pytest

from evaluators import endpoint as endpoints
from evaluators import judge as judges
from evaluators import window as windows
from evaluators.base import Outcome
from evaluators.cascade import Cascade, Step
from evaluators.judge import Judge
from evaluators.rubric import load_rubric
from evaluators.window import JudgeWindow
from tests.evaluators.requests import REFUNDS, cascade_of, request_of, settings_of
from tidegauge.domain import UNSCORED_BIN, EvaluationState, Request
from tidegauge.prices import Prices
from tidegauge.testing.judge_server import Answer, Fault, JudgeRequest, JudgeServer

NAMES = ("rules", "overlap", "judge")


def requests(count: int) -> list[Request]:
    return [request_of(f"Answer {n} of many.", REFUNDS, name=f"r-{n}") for n in range(count)]


def test_every_request_gets_one_verdict_within_the_bound() -> None:
    with JudgeServer(latency=0.02) as server, JudgeWindow(cascade_of(NAMES, settings_of(server)), 7) as window:
        verdicts = []
        for request in requests(100):
            window.submit(request)
            verdicts += window.finished()
        early = len(verdicts)
        verdicts += window.drain()
        assert 3 <= server.counters.max_in_flight <= 7
        assert server.counters.answered == 100
    assert 0 < early < 100
    assert sorted(v.request_id for v in verdicts) == sorted(f"r-{n}" for n in range(100))
    assert {(v.state, v.decisive.evaluator, v.bin) for v in verdicts} == {(EvaluationState.JUDGED, "judge", 2)}


def test_calls_of_different_elements_overlap_and_a_slow_one_holds_up_nobody() -> None:
    gate = threading.Event()

    def answer(request: JudgeRequest) -> Answer:
        if request.record["response"].startswith("Answer 0 "):
            gate.wait(20)
        return Answer()

    with JudgeServer(answer) as server, JudgeWindow(cascade_of(NAMES, settings_of(server, timeout_seconds=20))) as w:
        for request in requests(30):
            w.submit(request)
        seen: list[str] = []
        until = time.monotonic() + 10
        while len(seen) < 29 and time.monotonic() < until:
            seen += [v.request_id for v in w.finished()]
        assert len(seen) == 29
        assert "r-0" not in seen
        gate.set()
        assert [v.request_id for v in w.drain()] == ["r-0"]


def test_a_judge_that_fails_leaves_the_sample_pending_with_its_other_scores() -> None:
    faults = [Fault("status", 404)] * 4
    with JudgeServer(faults=faults) as server, JudgeWindow(cascade_of(NAMES, settings_of(server))) as window:
        for request in requests(4):
            window.submit(request)
        verdicts = window.drain()
    assert [v.state for v in verdicts] == [EvaluationState.PENDING] * 4
    assert [[s.evaluator for s in v.scores] for v in verdicts] == [["rules", "overlap", "judge"]] * 4


def test_an_unusable_answer_is_unscored_and_heuristics_do_not_stand_in() -> None:
    faults = [Fault("malformed")] * 2
    with JudgeServer(faults=faults) as server, JudgeWindow(cascade_of(NAMES, settings_of(server))) as window:
        window.submit(requests(1)[0])
        (verdict,) = window.drain()
    assert (verdict.state, verdict.bin, verdict.decisive.evaluator) == (EvaluationState.UNSCORED, UNSCORED_BIN, "judge")
    assert verdict.scores[1].score is not None


class Stuck(Judge):
    """Outlives its own deadline."""

    async def evaluate(self, request: Request, draw: int = 0) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


def test_a_call_that_outlives_its_deadline_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_GRACE", 0.05)
    monkeypatch.setattr(endpoints, "LONGEST_WAIT", 0.01)
    with JudgeServer() as server:
        section = settings_of(server, timeout_seconds=0.1)
        stuck = Stuck("judge", section, load_rubric(section.rubric), prices=Prices(()))
        steps = [Step(evaluator=evaluator) for evaluator in cascade_of(NAMES).evaluators]
        with JudgeWindow(Cascade(steps, [Step(evaluator=stuck)]), 2) as window:
            for request in requests(5):  # more than the window holds: submit must not hang either
                window.submit(request)
            verdicts = window.finished() + window.drain()
    assert [v.state for v in verdicts] == [EvaluationState.PENDING] * 5


def test_a_call_that_waits_for_its_turn_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_GRACE", 0.05)
    monkeypatch.setattr(endpoints, "LONGEST_WAIT", 0.01)
    with JudgeServer() as server:
        section = settings_of(server, timeout_seconds=0.2, requests_per_minute=600)
        with JudgeWindow(cascade_of(NAMES, section)) as window:
            for request in requests(30):  # for two seconds, where a deadline is one
                window.submit(request)
            verdicts = window.drain()
    assert [v.state for v in verdicts] == [EvaluationState.JUDGED] * 30


def test_closing_with_calls_in_flight_ends_the_thread_and_gives_no_verdict() -> None:
    with JudgeServer(faults=[Fault("hang")] * 3) as server:
        window = JudgeWindow(cascade_of(NAMES, settings_of(server)))
        for request in requests(3):
            window.submit(request)
        start = time.monotonic()
        window.close()
        window.close()
        assert time.monotonic() - start < 4
        assert window.finished() == []
        with pytest.raises(RuntimeError, match="closed"):
            window.submit(requests(1)[0])
    assert "judge-window" not in [t.name for t in threading.enumerate()]


def test_without_a_judge_there_is_no_thread() -> None:
    with JudgeWindow(cascade_of(NAMES)) as window:
        window.submit(requests(1)[0])
        assert "judge-window" not in [t.name for t in threading.enumerate()]
        assert len(window.finished()) == 1
        assert window.drain() == []


def test_a_judge_that_is_down_does_not_hold_up_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "_BACKOFF", 0.01)
    with JudgeServer(faults=(Fault("reset") for _ in range(10_000))) as server:
        start = time.monotonic()
        with JudgeWindow(cascade_of(NAMES, settings_of(server)), 16) as window:
            for request in requests(500):
                window.submit(request)
            verdicts = window.drain()
        assert server.counters.requests < 300
    assert {v.state for v in verdicts} == {EvaluationState.PENDING}
    assert len(verdicts) == 500
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(("before", "after"), [((700, 10, 10), 20_000), ((50_000, 9, 9), 50_000), ((0, 10, 10), 0)])
def test_the_collector_leaves_the_calls_in_flight_alone(before: tuple[int, int, int], after: int) -> None:
    usual = gc.get_threshold()
    gc.set_threshold(*before)
    try:
        with JudgeServer() as server, JudgeWindow(cascade_of(NAMES, settings_of(server))):
            assert gc.get_threshold() == (after, *before[1:])
    finally:
        gc.set_threshold(*usual)
