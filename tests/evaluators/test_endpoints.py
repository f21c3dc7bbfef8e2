"""Endpoints of every kind over real HTTP: what they refuse, how they fail, who stands in, what it takes."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import pytest

from evaluators import limits
from evaluators.answer import Problem
from evaluators.base import Outcome
from evaluators.endpoint import all_endpoints, asked_judges
from evaluators.judge import Judge
from evaluators.rubric import load_rubric
from tests.evaluators.requests import REFUNDS, request_of, settings_of
from tidegauge.config import Config, EndpointSection, EvaluationSection, JudgeSection, PriceSection
from tidegauge.domain import EvaluationState, Request, Span, Usage
from tidegauge.prices import Prices
from tidegauge.testing.judge_server import Answer, Fault, FaultKind, JudgeServer

JUDGED, UNSCORED, PENDING = EvaluationState.JUDGED, EvaluationState.UNSCORED, EvaluationState.PENDING
REQUEST = request_of("Refunds take 40 days.", REFUNDS, question="How long?")
PRICES = Prices([PriceSection(model="judge-1", input_per_million=1.0, output_per_million=2.0)])


class Memory:
    """What workers know of endpoints."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], dict[str, str]] = {}

    def recall(self, base_url: str, model: str) -> dict[str, str]:
        return self.known.get((base_url, model), {})

    def remember(self, base_url: str, model: str, learnt: dict[str, str]) -> None:
        self.known[base_url, model] = learnt


class Purse:
    """A budget of some calls."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.settled: list[Usage | None] = []

    async def reserve(self, input_tokens: int, output_tokens: int) -> bool:
        self.calls -= 1
        return self.calls >= 0

    def settle(self, input_tokens: int, output_tokens: int, usage: Usage | None) -> None:
        self.settled.append(usage)


def ask(
    server: JudgeServer,
    requests: Sequence[Request] = (REQUEST,),
    *,
    rubric: str = "hallucination@1.0.0",
    at_once: bool = False,
    judge: Callable[..., Judge] = Judge,
    services: dict[str, Any] | None = None,
    **settings: Any,
) -> list[Outcome]:
    section = settings_of(server, rubric=rubric, **settings)
    given = {"prices": PRICES, "today": lambda: date(2026, 11, 1), **(services or {})}

    async def run() -> list[Outcome]:
        made = judge("judge", section, load_rubric(rubric), **given)
        await made.open()
        try:
            if at_once:
                return list(await asyncio.gather(*(made.evaluate(r) for r in requests)))
            return [await made.evaluate(r) for r in requests]
        finally:
            await made.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("refuses", "refused", "format_"),
    [
        ((), 0, "json_schema"),
        (("json_schema",), 1, "json_object"),
        (("json_schema", "json_object"), 2, None),
        (("json_schema", "logprobs", "temperature", "max_tokens"), 4, "json_object"),
    ],
)
def test_what_an_endpoint_refuses_is_left_out_from_then_on(
    refuses: tuple[str, ...], refused: int, format_: str | None
) -> None:
    memory = Memory()
    with JudgeServer(refuses=refuses) as server:
        outcomes = ask(server, [REQUEST] * 3, services={"memory": memory})
        assert [o.state for o in outcomes] == [JUDGED] * 3
        assert server.counters.requests == 3 + refused
        asked = server.counters.asked[-1].body
        assert asked.get("response_format", {}).get("type") == format_
        assert not set(refuses) & set(asked)
        ask(server, services={"memory": memory})
        assert server.counters.requests == 4 + refused


@pytest.mark.parametrize("status", [422, 500])
def test_a_server_that_refuses_an_option_with_another_status_is_understood(status: int) -> None:
    with JudgeServer(refuses=("json_schema", "logprobs"), refuses_with=status) as server:
        assert [o.state for o in ask(server, [REQUEST] * 2)] == [JUDGED] * 2
        assert server.counters.requests == 4


def test_an_error_that_names_no_option_is_no_refusal() -> None:
    with JudgeServer(faults=[Fault("status", 500, text="out of memory")] * 5) as server:
        assert ask(server)[0].state is PENDING
        assert all("response_format" in request.body for request in server.counters.asked)


def test_many_refusals_at_once_are_one_step_down() -> None:
    with JudgeServer(refuses=("json_schema",), latency=0.02) as server:
        outcomes = ask(server, [REQUEST] * 30, at_once=True)
        assert server.counters.asked[-1].body["response_format"] == {"type": "json_object"}
    assert {o.state for o in outcomes} == {JUDGED}


def test_an_endpoint_that_refuses_everything_is_pending_and_asked_in_full_again() -> None:
    with JudgeServer(faults=[Fault("status", 400, text="no")] * 40) as server:
        assert ask(server)[0].state is PENDING
        first = server.counters.requests
        assert first < 10
        assert "response_format" in server.counters.asked[0].body


@pytest.mark.parametrize(
    ("kind", "problem", "raw"),
    [
        ("malformed", Problem.NOT_JSON, "I would say that it is fine."),
        ("body", Problem.NO_COMPLETION, "I would say that it is fine."),
        ("empty_choices", Problem.NO_CHOICES, ""),
        ("refusal", Problem.REFUSED, "I would say that it is fine."),
        ("filtered", Problem.FILTERED, ""),
        ("length", Problem.TRUNCATED, '{"reason": "scripted", "label"'),
        ("tool_call", Problem.TOOL_CALL, ""),
        ("empty", Problem.EMPTY, ""),
    ],
)
def test_an_unusable_answer_is_unscored_with_its_problem_and_what_was_said(
    kind: FaultKind, problem: Problem, raw: str
) -> None:
    with JudgeServer(faults=[Fault(kind)] * 2) as server:
        (outcome,) = ask(server)
    assert outcome.state is UNSCORED
    assert outcome.score.reason == f"malformed: {problem}"
    assert outcome.score.raw == raw
    assert outcome.score.usage is not None
    assert outcome.score.usage.calls == 2


def test_a_thought_in_its_own_field_is_not_the_answer() -> None:
    with JudgeServer(lambda _: Answer("hallucinated", reasoning='{"label": "faithful", "confidence": 1}')) as server:
        assert ask(server)[0].score.label == "hallucinated"


def test_quotes_become_offsets() -> None:
    quotes = ({"response": "take 40 DAYS", "context": "paid  within 14\u00a0days"},)
    with JudgeServer(lambda _: Answer("hallucinated", 0.9, quotes=quotes)) as server:
        (outcome,) = ask(server, rubric="hallucination@1.1.0")
    text, context = REQUEST.response or "", REFUNDS
    assert outcome.score.spans == (
        Span(where="response", start=8, stop=20, note="hallucinated"),
        Span(where="context", start=12, stop=31, note="support"),
    )
    assert (text[8:20], context[12:31]) == ("take 40 days", "paid within 14 days")
    assert outcome.score.score == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("quotes", "says"),
    [
        (({"response": "forty weeks"},), "1 of its quotes are not in the texts"),
        (({"response": "40 days", "context": "within 40 days"},), "1 of its quotes are not in the texts"),
        ((), "it quotes nothing that it faults"),
    ],
)
def test_a_verdict_without_its_evidence_is_of_low_confidence_and_says_so(
    quotes: tuple[dict[str, str | None], ...], says: str
) -> None:
    with JudgeServer(lambda _: Answer("hallucinated", 0.99, quotes=quotes)) as server:
        (outcome,) = ask(server, rubric="hallucination@1.1.0")
    assert (outcome.state, outcome.score.confidence, outcome.score.score) == (JUDGED, 0.5, 0.5)
    assert f"low confidence: {says}" in outcome.score.reason


@pytest.mark.parametrize(("label", "score"), [("hallucinated", 0.7), ("faithful", 0.3)])
def test_log_probabilities_are_the_confidence_where_they_are_given(label: str, score: float) -> None:
    with JudgeServer(lambda _: Answer(label, 1.0, likely=0.7)) as server:
        (outcome,) = ask(server)
    assert outcome.score.confidence == pytest.approx(0.7)
    assert outcome.score.score == pytest.approx(score)
    with JudgeServer(lambda _: Answer(label, 1.0, likely=0.7), refuses=("logprobs",)) as server:
        assert ask(server)[0].score.confidence == 1.0


def test_tokens_and_cost_are_counted_over_all_calls() -> None:
    with JudgeServer(faults=[Fault("malformed")], usage=(1000, 50)) as server:
        (outcome,) = ask(server)
    cost = 2 * (1000 * 1_000 + 50 * 2_000)
    assert outcome.score.usage == Usage(calls=2, input_tokens=2000, output_tokens=100, cost_nano_usd=cost)


def test_an_unknown_cost_is_unknown_never_nothing() -> None:
    with JudgeServer() as server:
        (unpriced,) = ask(server, services={"prices": Prices(())})
    with JudgeServer(usage=None) as server:
        (unsaid,) = ask(server)
    for outcome in (unpriced, unsaid):
        assert outcome.score.usage is not None
        assert outcome.score.usage.cost_nano_usd is None


def test_no_call_is_made_once_the_budget_is_spent() -> None:
    purse = Purse(2)
    with JudgeServer(faults=[Fault("malformed")]) as server:
        outcomes = ask(server, [REQUEST] * 3, services={"spending": purse})
        assert server.counters.requests == 2
    assert [o.spent for o in outcomes] == [False, True, True]
    assert outcomes[0].state is JUDGED
    assert purse.settled == [Usage(calls=1, input_tokens=100, output_tokens=20)] * 2


@pytest.mark.parametrize("fault", [Fault("status", 404), Fault("reset"), Fault("hang")], ids=lambda f: f.kind)
def test_the_next_endpoint_takes_over(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluators.judge._BACKOFF", 0.01)
    with JudgeServer(faults=[fault] * 9) as first, JudgeServer() as second:
        fallbacks = (EndpointSection(base_url=second.base_url, model="judge-2"),)
        (outcome,) = ask(first, fallbacks=fallbacks, cutoff_seconds=0.3)
    assert outcome.state is JUDGED
    assert outcome.score.answered_by.startswith("judge-2@127.0.0.1:")
    assert outcome.score.version == "1.0.0+hallucination@1.0.0+judge-2"
    assert "asked instead, since" in outcome.score.reason


def test_an_open_breaker_sends_everything_to_the_next_and_closes_after_a_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DOWN_AFTER", 2)
    monkeypatch.setattr(limits, "FIRST_TRY", 0.0)
    with JudgeServer(faults=[Fault("status", 404)] * 3) as first, JudgeServer() as second:
        fallbacks = (EndpointSection(base_url=second.base_url, model="judge-2"),)
        outcomes = ask(first, [REQUEST] * 5, fallbacks=fallbacks)
    assert [o.score.answered_by.split("@")[0] for o in outcomes] == ["judge-2"] * 3 + ["judge-1"] * 2


def test_an_endpoint_that_is_cut_off_again_and_again_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DOWN_AFTER", 2)
    monkeypatch.setattr(limits, "FIRST_TRY", 60.0)
    with JudgeServer(latency=0.5) as first, JudgeServer() as second:
        fallbacks = (EndpointSection(base_url=second.base_url, model="judge-2"),)
        outcomes = ask(first, [REQUEST] * 5, fallbacks=fallbacks, cutoff_seconds=0.1)
    assert {o.score.answered_by.split("@")[0] for o in outcomes} == {"judge-2"}
    assert ["no answer within 0.1 s" in o.score.reason for o in outcomes] == [True] * 5
    assert ["is down; not asked" in o.score.reason for o in outcomes] == [False] * 2 + [True] * 3


def test_judges_and_endpoints_are_those_that_samples_are_judged_by() -> None:
    def judge(host: str, **more: Any) -> JudgeSection:
        return JudgeSection(base_url=f"http://{host}/v1", model="m", **more)

    config = Config(
        evaluation=EvaluationSection(evaluators=("rules", "jury"), indicators={"refusal": "refusals"}),
        judge=judge("unused"),
        judges={
            "jury": JudgeSection(panel=("a", "b")),
            "a": judge("a"),
            "b": judge("b", fallbacks=(EndpointSection(base_url="http://c/v1", model="m"),)),
            "refusals": judge("a"),
            "spare": judge("spare"),
        },
    )
    assert sorted(e.base_url for e in all_endpoints(config)) == [f"http://{host}/v1" for host in "abc"]
    assert sorted(j.base_url or "" for j in asked_judges(config)) == [f"http://{host}/v1" for host in "aab"]
    assert asked_judges(Config(judges=config.judges)) == ()


def test_a_hedge_takes_the_faster_answer() -> None:
    with JudgeServer(faults=[Fault("hang")]) as server:
        (outcome,) = ask(server, hedge_seconds=0.05)
        assert server.counters.requests == 2
    assert outcome.state is JUDGED
    assert outcome.score.usage is not None
    assert outcome.score.usage.calls == 2


def test_a_hedge_is_a_call_of_the_budget() -> None:
    purses = Purse(1), Purse(2)
    for purse, asked in zip(purses, (1, 2), strict=True):
        with JudgeServer(latency=0.3) as server:
            (outcome,) = ask(server, hedge_seconds=0.05, services={"spending": purse})
            assert server.counters.requests == asked
        assert outcome.state is JUDGED
        assert outcome.score.usage is not None
        assert outcome.score.usage.calls == asked
    assert [purse.calls for purse in purses] == [-1, 0]


def test_a_further_draw_is_an_independent_one() -> None:
    with JudgeServer() as server:

        async def run() -> None:
            section = settings_of(server)
            judge = Judge("judge", section, load_rubric(section.rubric), prices=PRICES)
            await judge.open()
            await judge.evaluate(REQUEST, draw=2)
            await judge.close()

        asyncio.run(run())
        assert (server.counters.asked[0].body["temperature"], server.counters.asked[0].body["seed"]) == (0.7, 2)
