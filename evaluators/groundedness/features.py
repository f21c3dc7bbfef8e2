"""Features of an answer against its contexts, each in [0, 1].

All but `paraphrased` rise with what the contexts do not carry. Shares count as they are. Faults, such as an invented
number, count as x / (x + 1) of their number a sentence, so that a long answer is not guilty by its length; different
names and numbers also count in all.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence, Set
from itertools import compress, count, pairwise, repeat
from operator import and_, not_
from typing import NamedTuple

from evaluators.groundedness.lexicon import ADVERSE, FILLERS, LIMITS, NEGATIONS, SELF
from evaluators.groundedness.text import (
    BLOCK,
    SKIPPED,
    SYNONYMS,
    Source,
    form,
    number_of,
    opposites,
    source_of,
    tokens_in,
)

MOST_RESPONSE = 20_000
"""Characters of an answer that are read."""

SENTENCE = re.compile(r"[.!?](?=\s)|\n|[\u3002\uff01\uff1f]")
QUESTION = re.compile(r"\?(?!\S)|\uff1f")
ASCII_SENTENCE = re.compile(r"[.!?\n](?:(?<=\n)|(?=\s))")
"""The same for ASCII, in half the time."""

COPIED = 3
"""Words in a row that make a copied passage."""

SHORTEST_CLAUSE = 3
SHORTEST_SENTENCE = 4
DENIED_WITHIN = 4
"""Words behind a negation among which stands what it denies."""

NUMBER_WITHIN = 4
"""Words around a number that say what it is a number of."""

_VERBAL = ("ing", "ed", "ly")
_CLAUSE_ENDS = frozenset(",;:.!?")

FAULTS = {
    "invented_numbers": "no context has this number",
    "misplaced_numbers": "the contexts have this number elsewhere",
    "invented_names": "no context has this name",
    "opposed_words": "the contexts say the opposite",
    "flipped_words": "the contexts say the opposite here",
    "denials": "denied here and affirmed in the contexts",
    "other_negations": "denied here; the contexts deny nothing like it",
    "limits": "more total than the contexts",
    "adverse_words": "less favourable than the contexts",
    "first_person": "speaks of itself",
    "swapped_roles": "the contexts have it the other way round",
}
"""What is wrong with a word that is counted under a name."""

NOVEL = "not in the contexts"


class Fault(NamedTuple):
    """A word of the answer, in characters, and what is wrong with it."""

    start: int
    stop: int
    note: str


class Found(NamedTuple):
    features: dict[str, float]
    faults: list[Fault]


class _Sentence(NamedTuple):
    """A sentence of the answer; the lists run in step. `blocks` is 0 for what no context has."""

    words: list[str]
    starts: list[int]
    forms: list[str]
    blocks: list[int]
    content: list[int]
    """Places of the words that carry content."""
    carried: list[str]
    """Their stems."""


def find(response: str, contexts: tuple[str, ...], question: str = "") -> Found:
    """The features of an answer, and the words that speak against it, in their order."""
    source = source_of(contexts)
    asked = source_of((question,)).stems if question else frozenset()
    text = response[:MOST_RESPONSE]
    sentences = list(_sentences(text, source))
    faults = _Faults(source, asked, text)
    for sentence in sentences:
        faults.read(sentence)
    values = _shares(sentences, source) | _novelty(sentences, source, asked) | _support(sentences, source)
    per = max(1, len(sentences))
    values |= {name: _saturated(faults.counts[name] / per) for name in FAULTS}
    values["inexact_numbers"] = _saturated(faults.inexact / per)
    values["names_in_all"] = _saturated(len(faults.names))
    values["numbers_in_all"] = _saturated(len(faults.numbers))
    values["questions"] = _saturated(len(QUESTION.findall(text)) / per if "?" in text or "\uff1f" in text else 0)
    return Found(values, sorted(faults.found, key=lambda fault: (fault.start, fault.note == NOVEL)))


def _saturated(count: float) -> float:
    return count / (count + 1)


def _near(one: int, other: int) -> int:
    """Whether two words share a block or stand in neighbouring ones."""
    return one & (other | other << 1 | other >> 1)


def _lowered(text: str) -> str:
    """In lower case, of the same length."""
    low = text.lower()
    if len(low) != len(text):
        low = "".join(c if len(c.lower()) != 1 else c.lower() for c in text)
    return low.replace("\u2019", "'")


def _sentences(text: str, source: Source) -> Iterable[_Sentence]:
    low = _lowered(text)
    get = source.blocks.get
    tokens = tokens_in(low)
    ends = [m.end() for m in (ASCII_SENTENCE if low.isascii() else SENTENCE).finditer(low)]
    for start, stop in pairwise((0, *ends, len(low))):
        found = list(tokens.finditer(low, start, stop))
        if found:
            words = [m[0] for m in found]
            starts = [m.start() for m in found]
            forms = list(map(form, words))
            content = [place for place, f in enumerate(forms) if f not in SKIPPED]
            carried = [forms[place] for place in content]
            yield _Sentence(words, starts, forms, list(map(get, forms, repeat(0))), content, carried)


def _shares(sentences: Sequence[_Sentence], source: Source) -> dict[str, float]:
    """Of all words and their neighbours, whatever they mean."""
    total = unknown = pairs = fresh = copied = 0
    worst = clauses = 0.0
    count = 0
    bigrams = source.bigrams
    for s in sentences:
        novel = s.blocks.count(0)
        total, unknown = total + len(s.forms), unknown + novel
        if len(s.forms) >= SHORTEST_SENTENCE:
            worst = max(worst, novel / len(s.forms))
        known = list(map(bigrams.__contains__, pairwise(s.forms)))
        pairs, fresh = pairs + len(known), fresh + known.count(False)
        copied += _copied(known)
        for share in _clauses(s, bigrams):
            clauses, count = clauses + share, count + 1
    share = unknown / max(1, total)
    return {
        "novel_tokens": share,
        "worst_sentence": worst or share,
        "novel_bigrams": fresh / max(1, pairs),
        "novel_clauses": clauses / max(1, count),
        "uncopied": 1 - copied / max(1, total),
    }


def _copied(known: Iterable[bool]) -> int:
    """Words in copied passages, given which neighbours are in the contexts."""
    words = 0
    run = 1
    for pair in (*known, False):
        if pair:
            run += 1
        else:
            words += run if run >= COPIED else 0
            run = 1
    return words


def _clauses(s: _Sentence, bigrams: Set[tuple[str, str]]) -> Iterable[float]:
    """The share of new neighbours in each clause, fillers left out."""
    clause: list[str] = []
    last = len(s.words) - 1
    for place, word in enumerate(s.words):
        if word in FILLERS:
            continue
        clause.append(s.forms[place])
        gap = 2 if place == last else s.starts[place + 1] - s.starts[place] - len(word)
        if (gap > 1 or place == last) and len(clause) >= SHORTEST_CLAUSE:
            yield list(map(bigrams.__contains__, pairwise(clause))).count(False) / (len(clause) - 1)
            clause = []


def _novelty(sentences: Sequence[_Sentence], source: Source, asked: frozenset[str]) -> dict[str, float]:
    """Of the words that carry content."""
    content = novel = claims = novel_claims = presumed = paraphrased = unexplained = 0
    for s in sentences:
        content += len(s.content)
        for place in s.content:
            word, f = s.words[place], s.forms[place]
            fills = word in FILLERS
            claims += not fills
            if s.blocks[place]:
                continue
            novel += 1
            novel_claims += not fills
            if f[0].isdigit():
                continue
            alike = SYNONYMS.get(f)
            if alike and not source.stems.isdisjoint(alike):
                paraphrased += 1
            elif f in asked:
                presumed += not fills
            elif not word.endswith(_VERBAL):
                unexplained += 1
    content = max(1, content)
    return {
        "novel_words": novel / content,
        "novel_claims": novel_claims / max(1, claims),
        "presumed": presumed / max(1, claims),
        "paraphrased": paraphrased / content,
        "unexplained_nouns": unexplained / content,
    }


def _support(sentences: Sequence[_Sentence], source: Source) -> dict[str, float]:
    """Whether what stands together in the answer stands together in the contexts."""
    pairs = new = both = apart = 0
    uncovered = []
    for s in sentences:
        following = list(map(source.follows.__contains__, pairwise(s.carried)))
        pairs, new = pairs + len(following), new + following.count(False)
        blocks = [s.blocks[place] for place in s.content]
        for here, there in pairwise(blocks):
            if here and there:
                both += 1
                apart += not _near(here, there)
        if len(blocks) >= SHORTEST_CLAUSE:
            uncovered.append(1 - _most_together(blocks) / len(blocks))
    return {
        "novel_pairs": new / max(1, pairs),
        "scattered": apart / max(1, both),
        "uncovered": sum(uncovered) / max(1, len(uncovered)),
        "worst_uncovered": max(uncovered, default=0.0),
    }


def _most_together(blocks: Iterable[int]) -> int:
    """How many of some words one place of the contexts holds, at most.

    Counts for all places at once: bit b of the count at place p is bit p of `planes[b]`.
    """
    planes: list[int] = []
    for held in filter(None, blocks):
        carry = held | held << 1
        for bit, plane in enumerate(planes):
            planes[bit], carry = plane ^ carry, plane & carry
            if not carry:
                break
        if carry:
            planes.append(carry)
    most, places = 0, -1
    for bit in reversed(range(len(planes))):
        if places & planes[bit]:
            places &= planes[bit]
            most |= 1 << bit
    return most


class _Faults:
    """Reads sentences for single words that the contexts speak against."""

    def __init__(self, source: Source, asked: frozenset[str], text: str) -> None:
        self.counts = dict.fromkeys(FAULTS, 0)
        self.inexact = 0
        self.names: set[str] = set()
        self.numbers: set[str] = set()
        self.found: list[Fault] = []
        self._source, self._asked, self._text = source, asked, text

    def read(self, s: _Sentence) -> None:
        for place, (f, held) in enumerate(zip(s.forms, s.blocks, strict=True)):
            if f in NEGATIONS:
                self._negation(s, place)
            elif f[0].isdigit():
                self._number(s, place)
            elif not held:
                self._novel(s, place)
        opposed = [*map(opposites, s.words)]
        for place in compress(count(), map(not_, map(self._source.stems.isdisjoint, opposed))):
            self._opposed(s, place, opposed[place])
        self._roles(s)

    def _add(self, name: str, s: _Sentence, place: int) -> None:
        self.counts[name] += 1
        self._point(FAULTS[name], s, place)

    def _point(self, note: str, s: _Sentence, place: int) -> None:
        self.found.append(Fault(s.starts[place], s.starts[place] + len(s.words[place]), note))

    def _negation(self, s: _Sentence, place: int) -> None:
        after = s.starts[place] + len(s.words[place])
        if s.words[place] == "no" and self._text[after : after + 1] in _CLAUSE_ENDS:
            return
        following = [f for f in s.forms[place + 1 : place + 1 + DENIED_WITHIN] if f not in SKIPPED]
        if self._source.denied.isdisjoint(following):
            affirmed = not self._source.stems.isdisjoint(following)
            self._add("denials" if affirmed else "other_negations", s, place)

    def _number(self, s: _Sentence, place: int) -> None:
        f, held = s.forms[place], s.blocks[place]
        if held:
            near = range(max(0, place - NUMBER_WITHIN), min(len(s.forms), place + NUMBER_WITHIN + 1))
            around = [s.blocks[p] for p in near if p != place and s.blocks[p] and s.forms[p] not in SKIPPED]
            if around and not any(_near(held, blocks) for blocks in around):
                self._add("misplaced_numbers", s, place)
            return
        self.inexact += 1
        if f not in self._asked:
            self.numbers.add(f)
        if f not in self._asked and not _rounded(f, self._source.numbers):
            self._add("invented_numbers", s, place)

    def _novel(self, s: _Sentence, place: int) -> None:
        word, f = s.words[place], s.forms[place]
        if word in SELF and (place + 1 == len(s.words) or s.words[place + 1] not in FILLERS):
            self._add("first_person", s, place)
        if word in LIMITS:
            self._add("limits", s, place)
        elif word in ADVERSE:
            self._add("adverse_words", s, place)
        elif f in SKIPPED or f in self._asked or word in FILLERS:
            return
        elif place and self._text[s.starts[place]].isupper():
            self.names.add(f)
            self._add("invented_names", s, place)
        else:
            alike = SYNONYMS.get(f)
            if not alike or self._source.stems.isdisjoint(alike):
                self._point(NOVEL, s, place)

    def _opposed(self, s: _Sentence, place: int, against: frozenset[str]) -> None:
        """A word whose opposite the contexts have: anywhere, or between the same neighbours."""
        f = s.forms[place]
        if self._flips(s, place, against):
            self._add("flipped_words", s, place)
        if not s.blocks[place] and f not in SKIPPED:
            self._add("opposed_words", s, place)

    def _flips(self, s: _Sentence, place: int, against: frozenset[str]) -> bool:
        f = s.forms[place]
        before = s.forms[place - 1] if place else ""
        after = s.forms[place + 1] if place + 1 < len(s.forms) else ""
        bigrams = self._source.bigrams
        if (before, f) in bigrams or (f, after) in bigrams:
            return False
        left = any((before, other) in bigrams for other in against)
        right = any((other, after) in bigrams for other in against)
        return (left and (right or before not in SKIPPED)) or (right and after not in SKIPPED)

    def _roles(self, s: _Sentence) -> None:
        """A does B to C where the contexts have C do B to A."""
        turned = list(map(self._source.follows.__contains__, zip(s.carried[1:], s.carried, strict=False)))
        if True not in turned:
            return
        for n in compress(count(), map(and_, turned, turned[1:])):
            one, what, other = s.carried[n : n + 3]
            between = self._source.between
            if between.get((other, one)) == what and between.get((one, other)) != what:
                self._add("swapped_roles", s, s.content[n + 1])


def _rounded(f: str, numbers: Sequence[float]) -> bool:
    """Whether a number is one of the contexts', rounded, as a percentage or as a fraction."""
    value = number_of(f)
    if value is None:
        return False
    tolerance = 0.5 * 10.0 ** -len(f.partition(".")[2])
    for scale in (1.0, 100.0, 0.01):
        wanted, within = value * scale, tolerance * scale * (1 + 1e-9)
        place = bisect_left(numbers, wanted - within)
        if place < len(numbers) and numbers[place] <= wanted + within:
            return True
    return False


CONSTANTS = (
    (MOST_RESPONSE, COPIED, SHORTEST_CLAUSE, SHORTEST_SENTENCE, DENIED_WITHIN, NUMBER_WITHIN, BLOCK),
    (SENTENCE.pattern, QUESTION.pattern, _VERBAL, sorted(_CLAUSE_ENDS)),
)
"""What the features depend on, for the content hash."""
