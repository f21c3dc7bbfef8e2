"""Groundedness: P(hallucinated) of an answer from its contexts alone, and the words that speak against it.

A logistic regression of the features, calibrated on human labels; `training/groundedness.py` makes `model.json`, and
docs/groundedness.md says of what and how good it is. It reads words, numbers and their places, and understands none.
"""

from importlib.resources import files
from itertools import groupby
from math import exp

import msgspec

from evaluators.base import content_hash, missing, silent
from evaluators.groundedness import features, lexicon, text
from evaluators.groundedness.features import FAULTS, NOVEL, Fault, find
from evaluators.heuristics import NUMBER_WORDS, STOPWORDS
from tidegauge.domain import Request, Score, Span

THRESHOLD = 0.5
"""From here on the label is `hallucinated`."""

EDGES = (0.15, 0.25, 0.35, 0.5, 0.65, 0.8, 0.9)
MOST_CONFIDENCE = 0.95
MOST_SPANS = 40
MOST_GAP = 2
"""Characters between words of one span."""


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `model.json` holds. The score is the logistic of `bias` and the weighted features."""

    bias: float
    weights: dict[str, float]
    trained: dict[str, object]


MODEL = msgspec.json.decode((files("evaluators.groundedness") / "model.json").read_bytes(), type=Model)


class Groundedness:
    """Scores what the answer says beyond its contexts or against them; without contexts or answer it has no score."""

    name = "groundedness"
    version = "1.1.0"
    needs = frozenset({"contexts"})
    asks = False
    edges: tuple[float, ...] = EDGES
    content_hash = content_hash(
        name,
        version,
        (MODEL.bias, MODEL.weights),
        (THRESHOLD, EDGES, MOST_CONFIDENCE, MOST_SPANS, MOST_GAP),
        (FAULTS, NOVEL, features.CONSTANTS),
        text.CONSTANTS,
        lexicon.CONSTANTS,
        (STOPWORDS, NUMBER_WORDS),
    )

    def evaluate(self, request: Request) -> Score:
        lacking = missing(self, request)
        if lacking:
            return silent(self, lacking)
        if not request.response or not request.response.strip():
            return silent(self, "no answer")
        values, faults = find(request.response, tuple(c.text for c in request.contexts), request.asked)
        terms = {name: weight * values[name] for name, weight in MODEL.weights.items()}
        score = _logistic(MODEL.bias + sum(terms.values()))
        return Score(
            evaluator=self.name,
            version=self.version,
            content_hash=self.content_hash,
            score=score,
            label="hallucinated" if score >= THRESHOLD else "faithful",
            confidence=min(MOST_CONFIDENCE, max(score, 1 - score)),
            reason=_reason(values, terms, faults),
            spans=_spans(faults),
        )


def _logistic(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def _reason(values: dict[str, float], terms: dict[str, float], faults: list[Fault]) -> str:
    worst = max(terms, key=terms.__getitem__)
    said = f"{values['novel_words']:.0%} of the content words are in no context"
    if terms[worst] > 0:
        said += f"; most weight: {worst}"
    counted = sum(fault.note != NOVEL for fault in faults)
    return f"{said}; {counted} words to check" if counted else said


def _spans(faults: list[Fault]) -> tuple[Span, ...]:
    """Words side by side with the same note are one span; a word that two notes fit keeps the graver one."""
    runs: list[Fault] = []
    for _, same in groupby(faults, key=lambda fault: fault.start):
        fault = next(same)
        last = runs[-1] if runs else None
        if last and last.note == fault.note and fault.start - last.stop < MOST_GAP:
            runs[-1] = last._replace(stop=fault.stop)
        else:
            runs.append(fault)
    return tuple(Span(where="response", start=r.start, stop=r.stop, note=r.note) for r in runs[:MOST_SPANS])
