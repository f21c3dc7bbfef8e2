"""Rubrics: what is shipped loads, what is wrong says where."""

import importlib.resources
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.rubric import JudgeAnswer, load_rubric, parse_rubric, rubrics
from tidegauge.errors import ConfigError

REFERENCE = "hallucination@1.0.0"
TEXT = importlib.resources.files("rubrics").joinpath("hallucination/1.0.0.yaml").read_text(encoding="utf-8")


def test_every_shipped_rubric_loads_under_its_name() -> None:
    assert REFERENCE in rubrics()
    for reference in rubrics():
        assert load_rubric(reference).reference == reference


WRONG = {
    "an unknown field": ("fields: [question,", "fields: [questions,", r":\d+: fields\[0\]: Invalid enum"),
    "a confidence of 1.93": ("confidence: 0.93", "confidence: 1.93", r":37: examples\[1\]\.answer\.confidence: "),
    "an unknown key": ("question: >-\n", "asks: >-\n", r":5: asks: .*unknown field"),
    "a key twice": ("version: 1.0.0\nind", "version: 1.0.0\nversion: 1.0.0\nind", ":3: version: the key stands twice"),
    "another version": ("version: 1.0.0\nind", "version: 1.0.1\nind", ":2: version: the file says"),
    "a label of an example": (
        "label: faithful, confidence: 0.97",
        "label: fine, confidence: 0.97",
        "'fine' is no label",
    ),
    "labels of the schema": ("enum: [hallucinated", "enum: [bad, hallucinated", "label.enum must be the labels"),
    "a score that falls": ("hallucinated: confidence", "hallucinated: 1 - confidence", "score: must rise"),
    "no YAML": ("criteria:\n", "criteria: [\n", "not YAML"),
    "a missing response": ("fields: [question, contexts, response]", "fields: [question]", "must see the response"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line_with_file_line_and_key(case: str) -> None:
    good, bad, message = WRONG[case]
    assert good in TEXT
    with pytest.raises(ConfigError, match=message) as caught:
        parse_rubric(TEXT.replace(good, bad, 1).encode(), "rubrics/x.yaml", REFERENCE)
    assert str(caught.value).startswith("rubrics/x.yaml:")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "reference", ["hallucination", "nothing@1.0.0", "../hallucination@1.0.0", "hallucination@2.0.0"]
)
def test_an_unknown_rubric_is_refused(reference: str) -> None:
    with pytest.raises(ConfigError, match="rubric"):
        load_rubric(reference)


def test_the_hash_is_of_what_it_says_not_of_the_file() -> None:
    rubric = load_rubric(REFERENCE)
    assert parse_rubric(f"# a comment\n{TEXT}".encode(), "x", REFERENCE).content_hash == rubric.content_hash
    changed = TEXT.replace("One unsupported claim is enough", "Two unsupported claims are enough")
    assert parse_rubric(changed.encode(), "x", REFERENCE).content_hash != rubric.content_hash


def test_the_raw_score_is_the_probability_of_the_first_label() -> None:
    rubric = load_rubric(REFERENCE)
    assert rubric.raw_score(JudgeAnswer(label="hallucinated", confidence=0.9, reason="")) == 0.9
    assert rubric.raw_score(JudgeAnswer(label="faithful", confidence=0.75, reason="")) == 0.25


@given(st.binary(max_size=300) | st.text(alphabet="abc:-[]{}&*!|>'\"\n #?,%@`", max_size=60).map(str.encode))
def test_any_bytes_are_a_config_error_of_one_line(data: bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rubric(data, "x.yaml")
    assert "\n" not in str(caught.value)


@given(st.integers(0, len(TEXT) - 1), st.integers(1, 40))
def test_a_rubric_with_a_hole_loads_or_says_what_is_wrong(start: int, length: int) -> None:
    with suppress(ConfigError):
        assert parse_rubric((TEXT[:start] + TEXT[start + length :]).encode(), "x.yaml").labels
