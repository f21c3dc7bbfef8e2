"""Overlap: how much of the answer the retrieved contexts do not carry. Counts words, understands none.

The raw score is a weighted sum of seven features in [0, 1], with fixed weights that add to 1; it rises with each of
them. It is a screen with known bias (a subtle wrong edit reuses the right words), which is why its bins are calibrated
on human labels and never read as a probability.
"""

import re
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from evaluators.base import content_hash, missing, silent
from tidegauge.domain import Request, Score

_STOPWORDS = """
    a about above after again against all also am an and any are as at be because been before being below between
    both but by can could did do does doing down during each few for from further had has have having he her here hers
    him his how i if in into is it its itself just like may me might more most much must my no nor not now of off on
    once one only or other our out over own same she should so some such than that the their them then there these they
    this those through to too under until up us very was we well were what when where which while who whom why will
    with would yes yet you your
"""
_MONTHS = """
    january february march april june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday
"""
_NUMBERS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty
"""

STOPWORDS = frozenset(_STOPWORDS.split())
MONTHS = frozenset(_MONTHS.split())
NUMBER_WORDS = {word: str(number) for number, word in enumerate(_NUMBERS.split())}

STEM = 6
"""Words are compared by their first letters, so that `refunding` meets `refunded`."""

WEIGHTS = {
    "novel_words": 0.35,
    "novel_bigrams": 0.20,
    "worst_sentence": 0.20,
    "novel_names": 0.12,
    "novel_numbers": 0.08,
    "novel_dates": 0.05,
}
"""Shares count as they are; counts n of names, numbers and dates as n / (n + 1)."""

THRESHOLD = 0.35
"""From here on the label is `hallucinated`."""

EDGES = (0.05, 0.12, 0.2, 0.3, 0.4, 0.52, 0.66)
MOST_CONFIDENCE = 0.9
SHORTEST_SENTENCE = 3
"""Content words. Shorter sentences cannot be the worst one."""

CACHED_TEXTS = 1024
CACHED_TOKENS = 1 << 14

_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W\d_{_CJK}]+(?:['\u2019][^\W\d_]+)?|\d+(?:[.,:/]\d+)*")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+|(?<=[\u3002\uff01\uff1f])")
_YEAR = re.compile(r"[12]\d{3}$")
# The same for texts of ASCII characters alone, several times as fast.
_ASCII_TOKEN = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?|[0-9]+(?:[.,:/][0-9]+)*")
_ASCII_SENTENCE = re.compile(r"\s(?:(?<=[.!?]\s)\s*|(?<=\n)\n*)")


class Support(NamedTuple):
    """What a text carries: comparison forms of its words, and of its neighbouring words."""

    words: frozenset[str]
    bigrams: frozenset[tuple[str, str]]


class Overlap:
    """Scores what the answer says beyond its contexts; without contexts it has no score."""

    name = "overlap"
    version = "1.0.0"
    needs = frozenset({"contexts"})
    asks = False
    edges: tuple[float, ...] = EDGES
    content_hash = content_hash(
        name,
        version,
        STOPWORDS,
        MONTHS,
        NUMBER_WORDS,
        (STEM, WEIGHTS, THRESHOLD, EDGES, MOST_CONFIDENCE, SHORTEST_SENTENCE),
        (_TOKEN.pattern, _SENTENCE.pattern, _YEAR.pattern),
    )

    def evaluate(self, request: Request) -> Score:
        lacking = missing(self, request)
        if lacking:
            return silent(self, lacking)
        values = features(request)
        score = min(1.0, sum(weight * values[name] for name, weight in WEIGHTS.items()))
        distance = (score - THRESHOLD) / (1 - THRESHOLD if score >= THRESHOLD else THRESHOLD)
        worst = max(WEIGHTS, key=lambda name: WEIGHTS[name] * values[name])
        return Score(
            evaluator=self.name,
            version=self.version,
            content_hash=self.content_hash,
            score=score,
            label="hallucinated" if score >= THRESHOLD else "faithful",
            confidence=min(MOST_CONFIDENCE, 0.5 + 0.5 * abs(distance)),
            reason=f"{values['novel_words']:.0%} of the content words are in no context; most weight: {worst}",
        )


def features(request: Request) -> dict[str, float]:
    """The features by name, each in [0, 1]; 0 means: all of it is in the contexts."""
    support = [_support(c.text) for c in request.contexts]
    words = [s.words for s in support]
    bigrams = [s.bigrams for s in support]
    asked = _support(request.asked).words
    sentences = [_tokens(s) for s in _split_sentences(request.response or "")]
    forms = [list(map(_form, s)) for s in sentences]
    novel = {f for s in forms for f in s}.difference(*words)
    content = [[f for f in s if f not in STOPWORDS] for s in forms]
    pairs = {p for s in forms for p in pairwise(s)}
    unknown = novel - asked
    figures = {f for f in unknown if f[0].isdigit()}
    dates = {f for f in figures if _YEAR.match(f)} | (unknown & _MONTH_FORMS)
    names = {
        form
        for tokens, sentence in zip(sentences, forms, strict=True)
        for token, form in zip(tokens[1:], sentence[1:], strict=True)
        if form in unknown and token[0].isupper() and form not in STOPWORDS
    }
    shares = [_share(s, novel) for s in content if len(s) >= SHORTEST_SENTENCE]
    return {
        "novel_words": _share([f for s in content for f in s], novel),
        "novel_bigrams": len(pairs.difference(*bigrams)) / max(1, len(pairs)),
        "worst_sentence": max(shares, default=0.0),
        "novel_names": _saturated(len(names - dates)),
        "novel_numbers": _saturated(len(figures - dates)),
        "novel_dates": _saturated(len(dates)),
    }


def _tokens(text: str) -> list[str]:
    return (_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text)


def _split_sentences(text: str) -> list[str]:
    return (_ASCII_SENTENCE if text.isascii() else _SENTENCE).split(text)


def _share(forms: list[str], novel: set[str]) -> float:
    return sum(map(novel.__contains__, forms)) / max(1, len(forms))


def _saturated(count: int) -> float:
    return count / (count + 1)


@lru_cache(maxsize=CACHED_TOKENS)
def _form(token: str) -> str:
    """What a token is compared by: numbers without separators of thousands, words by their first letters."""
    if token[0].isdigit():
        return token.replace(",", "")
    word = token.lower()
    return word if word in STOPWORDS else NUMBER_WORDS.get(word) or word[:STEM]


_MONTH_FORMS = frozenset(_form(m) for m in MONTHS)


@lru_cache(maxsize=CACHED_TEXTS)
def _support(text: str) -> Support:
    forms = list(map(_form, _tokens(text)))
    return Support(frozenset(forms), frozenset(pairwise(forms)))
