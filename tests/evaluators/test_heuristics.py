"""Overlap: monotone features, honest silence, speed."""

from hypothesis import given
from hypothesis import strategies as st

from evaluators import heuristics
from evaluators.heuristics import EDGES, WEIGHTS, Overlap, features
from tests.evaluators.requests import REFUNDS, request_of


def score_of(response: str, *contexts: str, question: str | None = None) -> float:
    score = Overlap().evaluate(request_of(response, *contexts, question=question)).score
    assert score is not None
    return score


def test_a_copy_scores_nothing_and_an_invention_much() -> None:
    assert score_of(REFUNDS, REFUNDS) == 0
    assert score_of("Our Berlin office opened in 1987 with 312 clerks.", REFUNDS) > 0.7


def test_one_changed_number_date_or_name_raises_the_score() -> None:
    context = "The bridge by Roebling was opened on 24 May 1883 and is 1825 meters long."
    right = score_of("The bridge by Roebling was opened in May 1883 and is 1825 meters long.", context)
    for wrong in (
        "The bridge by Roebling was opened in May 1887 and is 1825 meters long.",
        "The bridge by Eiffel was opened in May 1883 and is 1825 meters long.",
        "The bridge by Roebling was opened in July 1883 and is 1825 meters long.",
    ):
        assert score_of(wrong, context) > right


def test_forms_of_numbers_and_words_meet() -> None:
    found = features(request_of("He refunded 1000 fans three times.", "Refunding 1,000 fans 3 times, he left."))
    assert found["novel_words"] == 0
    assert found["novel_numbers"] == 0


def test_what_the_question_names_is_no_invented_name() -> None:
    asked = features(request_of("Yes, Acme pays in 14 days.", REFUNDS, question="Does Acme pay?"))
    assert asked["novel_names"] == 0
    assert features(request_of("Yes, Acme pays in 14 days.", REFUNDS))["novel_names"] > 0


def test_without_contexts_it_says_so() -> None:
    for contexts in ((), ("",), ("  ",)):
        score = Overlap().evaluate(request_of("Anything.", *contexts))
        assert (score.score, score.label, score.reason) == (None, None, "no contexts")


def test_it_is_never_sure() -> None:
    score = Overlap().evaluate(request_of("Zebras dance in Timbuktu.", REFUNDS))
    assert score.label == "hallucinated"
    assert 0.5 <= score.confidence < 1


def test_weights_and_edges_are_what_they_should_be() -> None:
    assert abs(sum(WEIGHTS.values()) - 1) < 1e-12
    assert list(EDGES) == sorted(set(EDGES))
    assert len(EDGES) == 7


@given(st.text(max_size=400), st.lists(st.text(max_size=200), max_size=3), st.text(max_size=80))
def test_any_text_gets_a_score_in_range_twice_the_same(response: str, contexts: list[str], question: str) -> None:
    request = request_of(response, *contexts, question=question)
    score = Overlap().evaluate(request)
    assert score == Overlap().evaluate(request)
    if score.score is not None:
        assert 0 <= score.score <= 1
        assert all(0 <= v <= 1 for v in features(request).values())


@given(st.text(max_size=200), st.text(min_size=1, max_size=200), st.text(max_size=200))
def test_one_more_context_never_raises_the_score(response: str, context: str, further: str) -> None:
    context = "x " + context
    assert score_of(response, context, further) <= score_of(response, context) + 1e-12


def test_the_cache_is_bounded() -> None:
    for n in range(heuristics.CACHED_TEXTS + 50):
        score_of("Refunds.", f"context {n}")
    assert heuristics._support.cache_info().currsize <= heuristics.CACHED_TEXTS
