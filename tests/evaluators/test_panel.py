"""Several opinions."""

import asyncio

import pytest

from evaluators.base import Outcome
from evaluators.panel import DISAGREEMENT, Panel, Repeated
from tests.evaluators.requests import request_of
from tests.evaluators.scripted import Scripted, outcome
from tidegauge.domain import EvaluationState, Usage

JUDGED, UNSCORED, PENDING = EvaluationState.JUDGED, EvaluationState.UNSCORED, EvaluationState.PENDING
REQUEST = request_of("It takes 14 days.")


def voted(*outcomes: Outcome) -> Outcome:
    panel = Panel("panel", [Scripted(f"m{n}", o) for n, o in enumerate(outcomes)])
    return asyncio.run(panel.evaluate(REQUEST))


def test_the_majority_gives_the_label_and_all_the_score() -> None:
    said = voted(outcome(0.9), outcome(0.8), outcome(0.1)).score
    assert said.label == "hallucinated"
    assert said.score == pytest.approx(0.6)
    assert said.confidence <= DISAGREEMENT
    assert said.reason == "2 of 3 agree: scripted"
    assert said.usage == Usage(calls=3, input_tokens=30, output_tokens=6, cost_nano_usd=21)


def test_agreement_keeps_the_confidence() -> None:
    said = voted(outcome(0.9), outcome(0.8), outcome(0.7)).score
    assert said.confidence == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("second", "third", "state"),
    [
        (outcome(0.8), outcome(None, PENDING), JUDGED),
        (outcome(None, PENDING), outcome(None, UNSCORED), PENDING),
        (outcome(None, UNSCORED), outcome(None, UNSCORED), UNSCORED),
    ],
)
def test_more_than_half_must_have_answered(second: Outcome, third: Outcome, state: EvaluationState) -> None:
    found = voted(outcome(0.9), second, third)
    assert found.state is state
    assert (found.score.score is None) == (state is not JUDGED)


def test_a_spent_budget_is_passed_on() -> None:
    found = voted(outcome(0.9), outcome(None, UNSCORED, spent=True), outcome(None, PENDING))
    assert (found.spent, found.state) == (True, UNSCORED)


def test_a_judge_is_asked_again_only_where_it_wavers() -> None:
    judge = Scripted("judge", outcome(0.95), outcome(0.6), outcome(0.9), outcome(0.3))
    repeated = Repeated(judge, votes=3, uncertain=(0.3, 0.7))

    async def run() -> list[Outcome]:
        return [await repeated.evaluate(REQUEST) for _ in range(2)]

    sure, wavering = asyncio.run(run())
    assert sure.score.score == 0.95
    assert judge.asked == 4
    assert wavering.score.score == pytest.approx(0.6)
    assert wavering.score.evaluator == "judge"
    assert wavering.score.content_hash == repeated.content_hash != judge.content_hash
