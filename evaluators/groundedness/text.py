"""What the contexts carry, in a form that every word of an answer can be looked up in.

Words are compared by their stems. Each is kept with the blocks of 16 words it occurs in, as the bits of one integer:
two words stand near each other where their integers meet.
"""

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import chain, filterfalse, pairwise

from evaluators.groundedness.lexicon import NEGATIONS, PREFIXES, antonym_pairs, synonym_groups
from evaluators.heuristics import NUMBER_WORDS, STOPWORDS

MOST_CONTEXT = 200_000
"""Characters of one context that are read."""

MOST_WORDS = 50_000
"""Words of all contexts that are indexed."""

CACHED_TEXTS = 256
CACHED_FORMS = 65_536
LONGEST_PIECE = 40
"""Characters between spaces that are looked up together."""

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


class Source:
    """All contexts of one request, by the stems of their words in order.

    What few answers ask for is found when the first one does.
    """

    def __init__(self, forms: Sequence[str]) -> None:
        self._forms = forms
        self._content = list(filterfalse(SKIPPED.__contains__, forms))
        self.blocks = _blocks(forms)
        """The blocks that hold a stem."""
        self.stems = frozenset(self.blocks)
        self.bigrams = set(pairwise(forms))
        self.follows = set(pairwise(self._content))
        """Content words that follow each other, whatever else stands between them."""

    @cached_property
    def between(self) -> dict[tuple[str, str], str]:
        """The content word that stands between two others, the last time."""
        return {(one, other): what for one, what, other in zip(*(self._content[n:] for n in range(3)), strict=False)}

    @cached_property
    def denied(self) -> set[str]:
        """Stems that a negation stands before."""
        if self.stems.isdisjoint(NEGATIONS):
            return set()
        behind = (n + 1 for n, word in enumerate(self._forms) if word in NEGATIONS)
        return set(chain.from_iterable(self._forms[n : n + REACH] for n in behind))

    @cached_property
    def numbers(self) -> tuple[float, ...]:
        """Sorted."""
        values = (number_of(word) for word in self.blocks if word[0].isdigit())
        return tuple(sorted(value for value in values if value is not None))


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


class _Pieces(dict[str, tuple[str, ...]]):
    """The stems in a piece of lower-case text that has no white space, which no token has either."""

    def __missing__(self, piece: str) -> tuple[str, ...]:
        stems = tuple(map(form, tokens_in(piece).findall(piece)))
        if len(piece) <= LONGEST_PIECE:
            if len(self) >= CACHED_FORMS:
                self.clear()
            self[piece] = stems
        return stems


_PIECES = _Pieces()


@lru_cache(maxsize=CACHED_TEXTS)
def source_of(texts: tuple[str, ...]) -> Source:
    """The index of some contexts."""
    return Source(list(chain.from_iterable(map(forms_of, texts)))[:MOST_WORDS])


@lru_cache(maxsize=CACHED_TEXTS)
def forms_of(text: str) -> tuple[str, ...]:
    """The stems of a text in order, and the names of the months that it has in digits."""
    text = text[:MOST_CONTEXT].lower().replace("\u2019", "'")
    months = sorted(set(ISO_DATE.findall(text)))
    named = (form(MONTHS[int(month) - 1]) for month in months)
    return (*chain.from_iterable(map(_PIECES.__getitem__, text.split())), *named)


def tokens_in(text: str) -> re.Pattern[str]:
    """The pattern of the tokens of a lower-case text."""
    return ASCII_TOKEN if text.isascii() else TOKEN


def _blocks(forms: Sequence[str]) -> dict[str, int]:
    blocks: dict[str, int] = {}
    get, bit = blocks.get, 1
    for start in range(0, len(forms), BLOCK):
        for word in forms[start : start + BLOCK]:
            blocks[word] = get(word, 0) | bit
        bit <<= 1
    return blocks


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
