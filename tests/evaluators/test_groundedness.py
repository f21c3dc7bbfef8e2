"""Groundedness: what it flags and lets pass, monotone, deterministic, bounded."""

import pickle
import random
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.build import build_cascade
from evaluators.groundedness import text
from evaluators.groundedness.features import ASCII_SENTENCE, FAULTS, MOST_RESPONSE, SENTENCE, find
from evaluators.groundedness.lexicon import antonym_pairs, synonym_groups
from evaluators.groundedness.model import EDGES, MODEL, MOST_SPANS, Groundedness
from tests.evaluators.requests import REFUNDS, request_of
from tidegauge.config import Config, EvaluationSection
from tidegauge.domain import Score

BRIDGE = (
    "The bridge by Roebling was opened on 24 May 1883 and is 1825 metres long. It is open at night. "
    "Trucks may not cross it. Emily Roebling helped Washington Roebling."
)
RIGHT = "The bridge by Roebling was opened in May 1883 and is 1825 metres long."


def scored(response: str, *contexts: str, question: str | None = None) -> Score:
    return Groundedness().evaluate(request_of(response, *contexts, question=question))


def score_of(response: str, *contexts: str, question: str | None = None) -> float:
    score = scored(response, *contexts, question=question).score
    assert score is not None
    return score


def flagged(response: str, *contexts: str) -> dict[str, str]:
    """Notes by the words that they stand at."""
    return {response[s.start : s.stop]: s.note for s in scored(response, *contexts).spans}


def test_a_copy_is_faithful_and_an_invention_is_not() -> None:
    assert score_of(REFUNDS, REFUNDS) < 0.25
    assert score_of("Our Berlin office opened in 1987 with 312 clerks.", REFUNDS) > 0.9
    assert scored(REFUNDS, REFUNDS).label == "faithful"
    assert scored("Our Berlin office opened in 1987 with 312 clerks.", REFUNDS).label == "hallucinated"


@pytest.mark.parametrize(
    ("wrong", "word", "fault"),
    [
        ("The bridge by Roebling was opened in May 1887 and is 1825 metres long.", "1887", "invented_numbers"),
        ("The bridge by Eiffel was opened in May 1883 and is 1825 metres long.", "Eiffel", "invented_names"),
        ("The bridge by Roebling was opened in July 1883 and is 1825 metres long.", "July", "invented_names"),
        ("The bridge by Roebling was not opened in May 1883 and is 1825 metres long.", "not", "denials"),
        ("The bridge by Roebling was closed on 24 May 1883 and is 1825 metres long.", "closed", "flipped_words"),
        ("The bridge by Roebling was opened only in May 1883 and is 1825 metres long.", "only", "limits"),
        ("The poor bridge by Roebling was opened in May 1883 and is 1825 metres long.", "poor", "adverse_words"),
    ],
)
def test_one_wrong_word_is_pointed_at_and_raises_the_score(wrong: str, word: str, fault: str) -> None:
    assert flagged(RIGHT, BRIDGE) == {}
    assert flagged(wrong, BRIDGE)[word] == FAULTS[fault]
    assert score_of(wrong, BRIDGE) > score_of(RIGHT, BRIDGE) + 0.05


def test_a_synonym_weighs_less_than_another_claim() -> None:
    context = "The agent offers a plan that reduces the cost of every repair."
    assert score_of("The agent proposes a plan that lowers the cost of every repair.", context) < score_of(
        "The agent rejects a plan that lowers the colour of every repair.", context
    )


def test_who_does_what_to_whom_is_pointed_at() -> None:
    context = "Carlsen defeated Anand in Chennai."
    assert flagged("Anand defeated Carlsen in Chennai.", context) == {"defeated": FAULTS["swapped_roles"]}
    assert flagged(context, context) == {}


def test_a_negative_prefix_is_an_opposite() -> None:
    assert flagged("The plan is inflexible.", "The plan is flexible.")["inflexible"] == FAULTS["opposed_words"]


def test_numbers_are_read_in_other_forms() -> None:
    context = '{"temp": 7.34, "rate": 0.1635, "visitors": "1,200", "date": "2024-03-05"}'
    assert flagged("In March, 1200 visitors, 7.3 degrees, a rate of 16.35 %.", context) == {
        "degrees": "not in the contexts"
    }
    assert flagged("A rate of 17.35 %.", context) == {"17.35": FAULTS["invented_numbers"]}


def test_a_number_that_stands_elsewhere_is_pointed_at() -> None:
    between = " ".join(f"word{chr(97 + n)}{chr(97 + n)}" for n in range(26)) * 3
    context = f"Alpha costs 77 euros. {between}. Beta weighs plenty."
    assert flagged("Beta weighs 77.", context) == {"77": FAULTS["misplaced_numbers"]}
    assert flagged("Alpha costs 77.", context) == {}
    near = f"Alpha costs 77 euros. {' '.join(between.split()[:14])}. Beta weighs plenty."
    assert flagged("Beta weighs 77.", near) == {}


def test_what_the_question_names_is_no_invented_name() -> None:
    assert score_of("Yes, Acme pays in 14 days.", REFUNDS, question="Does Acme pay?") < score_of(
        "Yes, Acme pays in 14 days.", REFUNDS
    )


def test_what_the_question_presumes_and_the_contexts_do_not_have_counts_against_an_answer() -> None:
    def presumed(response: str, question: str) -> float:
        return find(response, (REFUNDS,), question).features["presumed"]

    assert presumed("The courier refunds customs.", "Does the courier refund customs?") > 0
    assert presumed("The courier refunds customs.", "") == 0
    assert presumed("Refunds arrive.", "Do refunds arrive?") == 0


def test_a_question_is_no_answer() -> None:
    assert score_of(f"{RIGHT} Do you like it?", BRIDGE) > score_of(f"{RIGHT} Do you like it.", BRIDGE)
    asked = {said: find(said, (REFUNDS,)).features["questions"] for said in ("See a.example/x?y=1.", "Why? Why?", "")}
    assert list(asked.values()) == [0, 0.5, 0]


def test_a_long_answer_is_not_guilty_by_its_length() -> None:
    once = score_of(f"{RIGHT} It is open at night.", BRIDGE)
    assert score_of(f"{RIGHT} It is open at night. " * 20, BRIDGE) == pytest.approx(once, abs=0.02)


def test_without_contexts_or_answer_it_says_so() -> None:
    for contexts in ((), ("",), ("  ",)):
        score = scored("Anything.", *contexts)
        assert (score.score, score.label, score.reason) == (None, None, "no contexts")
    assert [scored(empty, REFUNDS).reason for empty in ("", "  ")] == ["no answer", "no answer"]
    assert Groundedness().evaluate(request_of(None, REFUNDS)).score is None


def test_the_model_weighs_known_features_with_the_signs_they_must_have() -> None:
    values = find("a", ("a",)).features
    assert set(MODEL.weights) <= set(values)
    assert {name for name, weight in MODEL.weights.items() if weight < 0} <= {"paraphrased"}
    assert list(EDGES) == sorted(set(EDGES))
    assert len(EDGES) == 7


def test_every_line_of_the_lexicon_is_a_group() -> None:
    assert all(len(set(group)) > 1 for group in synonym_groups())
    assert all(len(set(pair)) == 2 for pair in antonym_pairs())


def test_it_is_known_to_the_configuration_and_may_be_pickled() -> None:
    config = Config(evaluation=EvaluationSection(evaluators=("groundedness",)))
    (evaluator,) = build_cascade(config).evaluators
    assert pickle.loads(pickle.dumps(evaluator)).evaluate(request_of(RIGHT, BRIDGE)) == scored(RIGHT, BRIDGE)


def test_it_loads_neither_scikit_learn_nor_matplotlib() -> None:
    code = (
        "import sys; from evaluators.groundedness.model import Groundedness;"
        "sys.exit(any(name in sys.modules for name in ('sklearn', 'numpy', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_hashes_do_not_depend_on_the_process() -> None:
    code = "from evaluators.groundedness.model import Groundedness; print(Groundedness.content_hash)"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == Groundedness.content_hash


@settings(max_examples=300)
@given(st.text(max_size=400), st.lists(st.text(max_size=200), max_size=3), st.text(max_size=80))
def test_any_text_gets_a_score_in_range_twice_the_same(response: str, contexts: list[str], question: str) -> None:
    score = scored(response, *contexts, question=question)
    text.source_of.cache_clear()
    assert score == scored(response, *contexts, question=question)
    if score.score is not None:
        assert 0 < score.score < 1
        assert all(0 <= v <= 1 for v in find(response, tuple(contexts), question).features.values())
    assert len(score.spans) <= MOST_SPANS
    assert all(0 <= s.start < s.stop <= len(response) for s in score.spans)


def test_offsets_hold_where_lower_case_is_longer() -> None:
    response = "\u0130\u0130\u0130 is here. Zanzibar pays \u2019tis 77 euros to Quito."
    assert {"77", "Quito"} <= set(flagged(response, "He is here and pays."))


def test_huge_texts_take_bounded_time() -> None:
    rng = random.Random(1)
    words = [f"{rng.choice('bcdfg')}{rng.choice('aeiou')}{n % 997}x{rng.choice('lmnr')}" for n in range(400_000)]
    huge = " ".join(words)
    started = time.perf_counter()
    score = scored(huge, huge, huge[::-1], "not " * 300_000, "1" * 300_000)
    assert score.score is not None
    assert all(s.stop <= MOST_RESPONSE for s in score.spans)
    assert time.perf_counter() - started < 20


def test_the_caches_are_bounded() -> None:
    for n in range(text.CACHED_TEXTS + 50):
        score_of("Refunds.", f"context {n}")
    assert text.source_of.cache_info().currsize <= text.CACHED_TEXTS
    assert text.forms_of.cache_info().currsize <= text.CACHED_TEXTS


def test_the_cache_of_pieces_is_bounded_and_forgets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "CACHED_FORMS", 10)
    pieces = text._Pieces()
    long = "a" * text.LONGEST_PIECE + ",refunds"
    for piece in [f"refund{n},paid." for n in range(25)] + [long]:
        assert pieces[piece] == tuple(map(text.form, text.TOKEN.findall(piece)))
        assert len(pieces) <= text.CACHED_FORMS
    assert long not in pieces


@given(st.text(st.sampled_from("ab1'.,:?!-_ \n\t\x1c\x85\u00a0\u2028\u3042\u00e9\uff1f")))
def test_a_text_read_by_pieces_has_the_words_and_sentences_of_the_whole(written: str) -> None:
    assert text.forms_of(written) == tuple(map(text.form, text.TOKEN.findall(written)))
    if written.isascii():
        ends = [m.end() for m in ASCII_SENTENCE.finditer(written)]
        assert ends == [m.end() for m in SENTENCE.finditer(written)]
