"""What the contexts carry, in a form that every word of an answer can be looked up in.

Words are compared by their stems. Each is kept with the blocks of 16 words it occurs in, as the bits of one integer:
two words stand near each other where their integers meet.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple

from evaluators.groundedness.lexicon import NEGATIONS, PREFIXES, antonym_pairs, synonym_groups
from evaluators.heuristics import NUMBER_WORDS, STOPWORDS

MOST_CONTEXT = 200_000
"""Characters of one context that are read."""

MOST_WORDS = 50_000
"""Words of all contexts that are indexed."""

CACHED_TEXTS = 256
CACHED_FORMS = 65_536
BLOCK = 16
"""Words."""

REACH = 3
"""Words behind a negation that it denies."""

STEM = 7
SHORTEST_STEM = 3
SHORTEST_PREFIXED = 4
SUFFIXES = (
    *("ization", "ations", "ation", "ments", "ment", "ingly", "ness", "ings", "edly", "ally", "ing", "ied", "ies"),
    *("ers", "ed", "er", "ly", "es", "al", "s", "e", "y"),
)
"""The first that fits is cut off."""

_MONTHS = """
    january february march april may june july august september october november december
"""
MONTHS = tuple(_MONTHS.split())
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
TOKEN = re.compile(rf"\d+(?:[.,:/]\d+)*|[^\W\d_{_CJK}]+(?:['\u2019][^\W\d_]+)?|[{_CJK}]")
ASCII_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+(?:[.,:/]\d+)*")
"""The same for lower-case ASCII, in half the time."""

ISO_DATE = re.compile(r"-(?<=\b[12]\d{3}-)(0[1-9]|1[0-2])-\d\d\b")
"""Looks for a hyphen first, which is fast."""

SKIPPED = STOPWORDS | NEGATIONS | frozenset(("st", "nd", "rd", "th"))
"""Stems that carry no content of their own."""


class Source(NamedTuple):
    """All contexts of one request."""

    blocks: dict[str, int]
    """The blocks that hold a stem."""
    bigrams: frozenset[tuple[str, str]]
    follows: frozenset[tuple[str, str]]
    """Content words that follow each other, whatever else stands between them."""
    between: dict[tuple[str, str], str]
    """The content word that stands between two others."""
    denied: frozenset[str]
    """Stems that a negation stands before."""
    affirmed: frozenset[str]
    """Stems that occur without one."""
    numbers: tuple[float, ...]
    """Sorted."""


@lru_cache(maxsize=CACHED_FORMS)
def form(token: str) -> str:
    """What a lower-case token is compared by: numbers without separators and padding, words by their stem."""
    if token[0].isdigit():
        bare = token.replace(",", "").lstrip("0")
        return bare if bare[:1].isdigit() else f"0{bare}"
    if token in SKIPPED:
        return token
    number = NUMBER_WORDS.get(token)
    if number is not None:
        return number
    for suffix in SUFFIXES:
        if token.endswith(suffix) and len(token) - len(suffix) >= SHORTEST_STEM:
            return token[: -len(suffix)][:STEM]
    return token[:STEM]


@lru_cache(maxsize=CACHED_TEXTS)
def source_of(texts: tuple[str, ...]) -> Source:
    """The index of some contexts."""
    forms = list(chain.from_iterable(map(forms_of, texts)))[:MOST_WORDS]
    blocks: dict[str, int] = {}
    get, bit = blocks.get, 1
    for start in range(0, len(forms), BLOCK):
        for word in forms[start : start + BLOCK]:
            blocks[word] = get(word, 0) | bit
        bit <<= 1
    content = [f for f in forms if f not in SKIPPED]
    denied, affirmed = _polarity(forms, blocks)
    return Source(
        blocks=blocks,
        bigrams=frozenset(pairwise(forms)),
        follows=frozenset(pairwise(content)),
        between=dict(zip(zip(content, content[2:], strict=False), content[1:], strict=False)),
        denied=denied,
        affirmed=affirmed,
        numbers=_numbers(blocks),
    )


@lru_cache(maxsize=CACHED_TEXTS)
def forms_of(text: str) -> tuple[str, ...]:
    """The stems of a text in order, and the names of the months that it has in digits."""
    text = text[:MOST_CONTEXT].lower().replace("\u2019", "'")
    months = sorted(set(ISO_DATE.findall(text)))
    return (*map(form, tokens_in(text).findall(text)), *(form(MONTHS[int(month) - 1]) for month in months))


def tokens_in(text: str) -> re.Pattern[str]:
    """The pattern of the tokens of a lower-case text."""
    return ASCII_TOKEN if text.isascii() else TOKEN


def _polarity(forms: Sequence[str], blocks: dict[str, int]) -> tuple[frozenset[str], frozenset[str]]:
    if blocks.keys().isdisjoint(NEGATIONS):
        return frozenset(), frozenset(blocks)
    denied: set[str] = set()
    rest = list(forms)
    for place in [place for place, word in enumerate(forms) if word in NEGATIONS]:
        denied.update(forms[place + 1 : place + 1 + REACH])
        rest[place + 1 : place + 1 + REACH] = [""] * len(rest[place + 1 : place + 1 + REACH])
    return frozenset(denied), frozenset(rest)


def _numbers(blocks: dict[str, int]) -> tuple[float, ...]:
    values = (number_of(word) for word in blocks if word[0].isdigit())
    return tuple(sorted(value for value in values if value is not None))


def number_of(word: str) -> float | None:
    """The value of a number's stem; None for times, versions and the like."""
    try:
        return float(word)
    except ValueError:
        return None


def _synonyms() -> dict[str, frozenset[str]]:
    alike: dict[str, set[str]] = {}
    for group in synonym_groups():
        members = {form(word) for word in group}
        for member in members:
            alike.setdefault(member, set()).update(members - {member})
    return {word: frozenset(others) for word, others in alike.items()}


def _antonyms() -> dict[str, frozenset[str]]:
    opposed: dict[str, set[str]] = {}
    for one, other in antonym_pairs():
        opposed.setdefault(form(one), set()).add(form(other))
        opposed.setdefault(form(other), set()).add(form(one))
    return {word: frozenset(others) for word, others in opposed.items()}


SYNONYMS = _synonyms()
ANTONYMS = _antonyms()
_NONE: frozenset[str] = frozenset()


@lru_cache(maxsize=CACHED_FORMS)
def opposites(token: str) -> frozenset[str]:
    """Stems that deny a lower-case word: its antonyms, and the word with or without a negative prefix."""
    own = form(token)
    listed = ANTONYMS.get(own, _NONE)
    if token in SKIPPED or token[0].isdigit():
        return listed
    found = {form(prefix + token) for prefix in PREFIXES}
    for prefix in PREFIXES:
        if token.startswith(prefix) and len(token) - len(prefix) >= SHORTEST_PREFIXED:
            found.add(form(token[len(prefix) :]))
    if token.endswith("less") and len(token) - SHORTEST_PREFIXED >= SHORTEST_STEM:
        found |= {form(token[:-4]), form(token[:-4] + "ful")}
    return frozenset(found | listed) - {own}


CONSTANTS = (
    (MOST_CONTEXT, MOST_WORDS, BLOCK, REACH, STEM, SHORTEST_STEM, SHORTEST_PREFIXED, SUFFIXES, MONTHS),
    (TOKEN.pattern, ASCII_TOKEN.pattern, ISO_DATE.pattern, SKIPPED),
)
"""What the index depends on, for the content hash."""
