"""The groundedness model: what it sees, where it points, and that it needs nothing to run."""

import json
import subprocess
import sys

import pytest

from evaluators.groundedness.model import MODEL, Groundedness
from tests.evaluators.requests import request_of

MODEL_ = Groundedness()
CONTEXT = (
    "Refunds are paid within 14 days after the parcel has arrived. Shipping costs are not refunded. "
    "Anna Berg leads the support team in Malmo; Omar Haddad leads sales. The hotel has 36 rooms and opened in 1987."
)


def score(response: str, context: str = CONTEXT) -> float:
    found = MODEL_.evaluate(request_of(response, context)).score
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("Refunds are paid within 14 days.", "Refunds are paid within 40 days."),
        ("Shipping costs are not refunded.", "Shipping costs are refunded as well, at once."),
        ("Anna Berg leads the support team.", "Boris Kent leads the support team."),
        ("The hotel opened in 1987.", "The hotel closed in 1987."),
        ("The hotel has 36 rooms.", "The hotel has 36 rooms, a golf course and a casino."),
    ],
)
def test_what_the_contexts_do_not_carry_is_more_suspicious(right: str, wrong: str) -> None:
    assert score(wrong) > score(right)


def test_it_points_at_what_it_dislikes() -> None:
    text = "Refunds are paid within 40 days by Boris Kent."
    spans = MODEL_.evaluate(request_of(text, CONTEXT)).spans
    pointed = {text[span.start : span.stop] for span in spans}
    assert any("40" in part for part in pointed)
    assert any("Boris" in part for part in pointed)
    assert all(span.where == "response" and span.note for span in spans)


def test_a_table_is_a_context_too() -> None:
    table = json.dumps({"name": "Quattro S", "display": "4.0 inch", "price": 129, "released": "2013-06-01"})
    assert score("The Quattro S has a 4.0-inch display.", table) < score("The Quattro S has a 6.5-inch display.", table)


def test_offsets_are_those_of_the_text_as_it_is() -> None:
    text = "\u0130stanbul\u2019s refunds \U0001f600 take 40 days."
    for span in MODEL_.evaluate(request_of(text, CONTEXT)).spans:
        assert 0 <= span.start < span.stop <= len(text)
        assert text[span.start : span.stop].strip() == text[span.start : span.stop]


def test_it_runs_without_the_library_that_trained_it() -> None:
    code = (
        "import sys, evaluators.groundedness.model\n"
        "print([name for name in sys.modules if name.startswith(('sklearn', 'pandas', 'pickle5'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_model_is_small_and_says_what_it_was_trained_on() -> None:
    assert len(MODEL.weights) < 40
    assert MODEL.trained["sets"]
