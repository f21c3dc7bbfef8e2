"""Injection: text in a record that addresses whoever judges it, in clear or in disguise.

A judge's word about such a record is worth nothing, since it may be the record's. The detector asks nobody, reads the
plain form of every text (`evaluators.disguise`) and adds up what its rules find (`evaluators.injection_rules`): with
weights w of the distinct rules that were met, the score is 1 - prod(1 - w). The kind of attack: Greshake et al.,
"Not what you've signed up for", arXiv:2302.12173.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from evaluators import disguise
from evaluators.base import content_hash
from evaluators.disguise import Disguise, plain
from evaluators.fence import HIDDEN
from evaluators.injection_rules import MARKERS, Rule, rules
from tidegauge.domain import Request, Score, Span

THRESHOLD = 0.7
"""From here on a sample is flagged."""

EDGES = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
DEEPEST = 2
"""Disguises within disguises that are undone."""

MOST_PLACES = 1_000
"""Places of one anchor in one text that are looked at."""

CACHED_TEXTS = 512
LONGEST_CACHED = 20_000  # characters
MOST_WORDS = 100_000  # that are remembered

LONG_ANCHOR = 5
_KEY = 4
_PUNCTUATION = str.maketrans(dict.fromkeys("\n\t\r!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", " "))
_WORD = re.compile(r"[^\W_]+")
_NO_WORD = re.compile(r"[\W_]+")
_UNSPACED = re.compile("[\u0600-\u06ff\u0900-\u097f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_UNSPACED_RUN = re.compile(rf"(?:{_UNSPACED.pattern}\W*){{8}}")


class Found(NamedTuple):
    """A rule that was met: how the text was hidden, and where (offsets in the plain form, then in the text)."""

    rule: str
    weight: float
    start: int
    stop: int


class _Anchored(NamedTuple):
    anchor: str
    rule: int


class _Rules:
    """The rules, compiled, and where to look for which."""

    def __init__(self, found: Sequence[Rule]) -> None:
        self.rules = found
        self.by_key: dict[str, list[_Anchored]] = {}
        self.anywhere: dict[str, list[_Anchored]] = {}
        for place, rule in enumerate(found):
            for anchor in rule.anchors:
                word = anchor if rule.anywhere else max(anchor.split(" "), key=len)
                by = self.anywhere if rule.anywhere else self.by_key
                by.setdefault(word if rule.anywhere else word[:_KEY], []).append(_Anchored(word, place))
        self.bare = [tuple(anchor.replace(" ", "") for anchor in rule.anchors) for rule in found]
        self._compiled: dict[tuple[int, bool], tuple[re.Pattern[str], ...]] = {}

    def anchors(self, word: str) -> list[_Anchored]:
        """The anchors that a word begins with."""
        return [a for a in self.by_key.get(word[:_KEY], ()) if word.startswith(a.anchor)]

    def begins(self, word: str) -> bool:
        """Whether a word begins with a long anchor: behind a disguise it is hardly there by chance."""
        return any(len(a.anchor) >= LONG_ANCHOR for a in self.anchors(word))

    def patterns(self, place: int, *, spaced: bool = False) -> tuple[re.Pattern[str], ...]:
        """A rule's patterns, compiled when first needed; `spaced`: for text whose spaces were lost."""
        found = self._compiled.get((place, spaced))
        if found is None:
            wanted = self.rules[place].patterns
            texts = [_squeezed(p) for p in wanted] if spaced else [_separated(p, r"[^\w.;!?]{1,6}") for p in wanted]
            found = self._compiled[place, spaced] = tuple(re.compile(text) for text in texts)
        return found


def _separated(pattern: str, separator: str) -> str:
    """A pattern with its spaces as separators; a space that may be missing stays so."""
    return pattern.replace(" ?", f"(?:{separator})?").replace(" ", separator)


def _squeezed(pattern: str) -> str:
    """A pattern without the ends of words; so many words become so many letters, lest the search run away."""
    loose = re.sub(r"\(\?:(?:\\w\+ | \\w\+)\)\{0,(\d)\}", lambda n: rf"[\s\S]{{0,{8 * int(n[1])}}}?", pattern)
    for end in (r"\b", r"(?<![^\W_])", r"(?![^\W_])"):
        loose = loose.replace(end, "")
    return _separated(loose, r"[\W_]*")


_RULES = _Rules(rules())


class _Telling(NamedTuple):
    """What a word may tell of its text."""

    anchors: tuple[_Anchored, ...]
    rotated: bool
    backwards: bool
    leet: bool
    single: bool
    long: bool
    digits: bool


class _Vocabulary:
    """What words tell, remembered: most words of most texts were met before and tell nothing."""

    def __init__(self) -> None:
        self._dull: set[str] = set()
        self._telling: dict[str, _Telling] = {}

    def telling(self, words: set[str]) -> list[_Telling]:
        if len(self._dull) + len(self._telling) > MOST_WORDS:
            self._dull, self._telling = set(), {}
        return [found for word in words - self._dull if (found := self._telling.get(word) or self._learn(word))]

    def _learn(self, word: str) -> _Telling | None:
        found = _Telling(
            anchors=tuple(_RULES.anchors(word)),
            rotated=word.isascii() and _RULES.begins(disguise.rotated(word).text),
            backwards=_RULES.begins(word[::-1]),
            leet=disguise.is_leet(word) and _RULES.begins(disguise.straightened(word).text),
            single=len(word) == 1,
            long=len(word) >= disguise.LONG,
            digits=any(char.isdigit() for char in word),
        )
        if not any(found):
            self._dull.add(word)
            return None
        self._telling[word] = found
        return found


_VOCABULARY = _Vocabulary()


class Injection:
    """Scores every request; from THRESHOLD on its verdict may not rest on a judge."""

    name = "injection"
    version = "1.0.0"
    needs: frozenset[str] = frozenset()
    asks = False
    edges: tuple[float, ...] = EDGES
    threshold = THRESHOLD
    content_hash = content_hash(
        name,
        version,
        [rule._asdict() for rule in _RULES.rules],
        [(name, weight, pattern.pattern) for name, weight, _, pattern in MARKERS],
        (THRESHOLD, EDGES, DEEPEST, MOST_PLACES, disguise.LEET, sorted(disguise.LOOK_ALIKES.items())),
        HIDDEN.pattern,
    )

    def evaluate(self, request: Request) -> Score:
        texts = (request.response or "", *(c.text for c in request.contexts), request.asked)
        places = ("response", *("context" for _ in request.contexts), "question")
        found = [(n, f) for n, text in enumerate(texts) if text for f in findings(text)]
        best: dict[str, float] = {}
        for _, f in found:
            best[f.rule] = max(best.get(f.rule, 0.0), f.weight)
        innocence = 1.0
        for weight in best.values():
            innocence *= 1 - weight
        score = 1 - innocence
        named = (
            ", ".join(dict.fromkeys(f"{f.rule} in the {places[n]}" for n, f in found)) or "nothing addresses a judge"
        )
        return Score(
            evaluator=self.name,
            version=self.version,
            content_hash=self.content_hash,
            score=score,
            label=None,
            confidence=score if score >= THRESHOLD else 1 - score,
            reason=named[:500],
            spans=tuple(_span(n, f) for n, f in found if n <= len(request.contexts)),
        )


def _span(place: int, found: Found) -> Span:
    if place == 0:
        return Span(where="response", start=found.start, stop=found.stop, note=found.rule)
    return Span(where="context", start=found.start, stop=found.stop, context=place - 1, note=found.rule)


def findings(text: str) -> tuple[Found, ...]:
    """What the rules find in a text and behind its disguises, with offsets in the text."""
    return _remembered(text) if len(text) <= LONGEST_CACHED else _remembered.__wrapped__(text)


@lru_cache(maxsize=CACHED_TEXTS)
def _remembered(text: str) -> tuple[Found, ...]:
    return tuple(_findings(text, (), spaced=False))


def _findings(text: str, undone: tuple[str, ...], *, spaced: bool) -> Iterator[Found]:
    low = plain(text)
    parts = low.translate(_PUNCTUATION).split() if low.isascii() else _WORD.findall(low)
    telling = _VOCABULARY.telling(set(parts))
    met = [*_marked(low), *(_met_spaced(low) if spaced else _met(low, telling))]
    if met:
        places = [*disguise.offsets(text), len(text)]
        for found in met:
            start = places[min(found.start, len(places) - 1)]
            yield found._replace(start=start, stop=max(start, places[min(found.stop, len(places) - 1)]))
    if len(undone) < DEEPEST:
        for hidden in _hidden(text, low, parts, telling):
            if hidden.kind in undone and hidden.kind in disguise.MIRRORS:
                continue
            for found in _findings(hidden.text, (*undone, hidden.kind), spaced=hidden.spaced):
                yield Found(f"{found.rule} by {hidden.kind}", _hidden_weight(found), hidden.start, hidden.stop)


def _hidden_weight(found: Found) -> float:
    """Who hides it means it."""
    return 1 - 0.5 * (1 - found.weight)


def _hidden(text: str, low: str, parts: list[str], telling: list[_Telling]) -> Iterator[Disguise]:
    if any(word.long for word in telling):
        yield from disguise.from_base64(text)
    if sum(word.digits for word in telling) >= disguise.FEWEST_CODES or any(word.long for word in telling):
        yield from disguise.from_digits(text)
    if sum(word.single for word in telling) >= disguise.FEWEST_LETTERS:
        yield from disguise.letters_apart(low, parts)
    yield from disguise.from_escapes(text, low)
    if any(word.leet for word in telling) or any(map(_RULES.begins, disguise.words_with_signs(low))):
        yield disguise.straightened(low)
    if any(word.rotated for word in telling):
        yield disguise.rotated(low)
    if any(word.backwards for word in telling) or (not low.isascii() and _UNSPACED_RUN.search(low)):
        yield disguise.reversed_text(low)


def _marked(low: str) -> Iterator[Found]:
    for name, weight, mark, pattern in MARKERS:
        found = pattern.search(low) if mark in low else None
        if found:
            yield Found(name, weight, *found.span())


def _met(low: str, telling: list[_Telling]) -> Iterator[Found]:
    """Rules of which an anchor is in the text, looked for around it."""
    seen: set[int] = set()
    wanted = [anchor for word in telling for anchor in word.anchors]
    if not low.isascii() and _UNSPACED.search(low):
        wanted += [a for anchor, anchored in _RULES.anywhere.items() if anchor in low for a in anchored]
    for anchor, place in dict.fromkeys(wanted):
        if place in seen:
            continue
        rule = _RULES.rules[place]
        for start in _places(low, anchor, anywhere=rule.anywhere):
            begin = max(0, start - rule.width)
            found = _around(low[begin : start + len(anchor) + rule.width], _RULES.patterns(place))
            if found:
                seen.add(place)
                yield Found(rule.name, rule.weight, begin + found[0], begin + found[1])
                break


def _places(low: str, anchor: str, *, anywhere: bool) -> Iterator[int]:
    """Where words begin with an anchor; a short anchor is the whole word."""
    start = low.find(anchor)
    looked = 0
    while start >= 0 and looked < MOST_PLACES:
        stop = start + len(anchor)
        begins = start == 0 or not low[start - 1].isalnum()
        if anywhere or (begins and (len(anchor) >= _KEY or not low[stop : stop + 1].isalnum())):
            looked += 1
            yield start
        start = low.find(anchor, stop)


def _around(window: str, patterns: tuple[re.Pattern[str], ...]) -> tuple[int, int] | None:
    """From the first to the last of the patterns, where all of them are there."""
    spans = []
    for pattern in patterns:
        found = pattern.search(window)
        if not found:
            return None
        spans.append(found.span())
    return min(s[0] for s in spans), max(s[1] for s in spans)


def _met_spaced(low: str) -> Iterator[Found]:
    bare = _NO_WORD.sub("", low)
    for place, rule in enumerate(_RULES.rules):
        if any(anchor in bare for anchor in _RULES.bare[place]):
            found = _around(low, _RULES.patterns(place, spaced=True))
            if found:
                yield Found(rule.name, rule.weight, *found)
