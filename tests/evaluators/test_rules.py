"""Which answers make no claim."""

import pytest

from evaluators.base import score_bin
from evaluators.rules import EDGES, SCORES, Rules, is_refusal
from tests.evaluators.requests import request_of

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I am sorry. I cannot answer this question. Please contact support.",
    "I don't know.",
    "I can\u2019t help with that request.",
    "Unfortunately, I don't have access to that.",
    "We don't have information about refunds for gift cards.",
    "The provided context does not contain the answer.",
    "As an AI language model, I cannot view images. Could you describe it?",
]
CLAIMS = [
    "I'm sorry, but I can't find that. The refund window is 30 days.",
    "I cannot find it, but the limit is 30 days.",
    "I'm sorry but our store doesn't allow returns.",
    "I can help you with it.",
    "I'm not sure if you know that kernels explode at 180 degrees.",
    "You can not help it.",
    "I cannot say enough good about it. " * 20,
]


@pytest.mark.parametrize("response", REFUSALS)
def test_a_refusal_is_faithful_and_sure(response: str) -> None:
    score = Rules().evaluate(request_of(response))
    assert (score.label, score.confidence, score.score) == ("faithful", 1.0, SCORES["refusal"])


@pytest.mark.parametrize("response", CLAIMS)
def test_a_refusal_that_goes_on_to_claim_is_left_to_the_others(response: str) -> None:
    assert not is_refusal(response)
    assert Rules().evaluate(request_of(response)).score is None


@pytest.mark.parametrize("response", ["", "  \n", "...", None, "\u2014"])
def test_an_empty_answer_makes_no_claim(response: str | None) -> None:
    score = Rules().evaluate(request_of(response, question="Why?"))
    assert (score.label, score.confidence, score.score) == ("faithful", 1.0, SCORES["empty"])


def test_an_echo_of_the_question_makes_no_claim() -> None:
    score = Rules().evaluate(request_of("how long do refunds TAKE", question="How long do refunds take?"))
    assert score.score == SCORES["echo"]
    assert Rules().evaluate(request_of("Yes", question="Yes?")).score is None  # one word may be an answer


def test_a_cut_off_answer_has_no_score_but_is_named() -> None:
    score = Rules().evaluate(request_of("Refunds are paid within the"))
    assert score.score is None
    assert "cut off" in score.reason


def test_each_rule_has_a_bin_of_its_own() -> None:
    assert len({score_bin(s, EDGES) for s in SCORES.values()}) == len(SCORES)
