"""Finds text that speaks to a judge instead of to a user: orders, forged verdicts, role markers, in many disguises.

A flagged sample is not judged by a machine at all: it gets no verdict of its own and goes to people. The detector knows
no model and asks nobody. A text is looked at in several views: as it is; with look-alike letters and spacing undone;
reversed, in rot13, in leetspeak; and what base64, hexadecimal, URL or HTML escapes in it say.
"""

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from evaluators.base import content_hash
from evaluators.injection_words import FORGED, LANGUAGE_STEMS, OTHER_LANGUAGES, RULES, TRIGGERS
from tidegauge.domain import Request, Score, Span

CACHED_TEXTS = 2048
LONGEST = 100_000
"""Characters of one text that are looked at; an attack behind them is behind what a judge reads, too."""

FEWEST_ESCAPES = 3

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]"
)
_TAGS = {n: n - 0xE0000 for n in range(0xE0020, 0xE007F)}  # tag characters spell ASCII invisibly
_LOOK_ALIKES = str.maketrans(
    "\u0430\u0431\u0435\u0451\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u051b\u051d\u04bb\u03b1\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u0131\u0261\u0269\u0280\u029f\u0274\u1d00\u1d07\u026a\u1d0f\u1d1b\u1d1c\u043a\u043c\u0442\u043d\u0432",
    "abeeopcyxijsdqwhaeikvoptuxigirlnaeiotukmthb",
)
_LEET = str.maketrans("013457@$!|8", "oieastasilb")
_SPACE = re.compile(r"[^\S\n]+")  # lines stay lines: role markers begin them
_SPELLED = re.compile(r"(?<![^\W_])(?:[^\W\d_][ .\-_*~/|]{1,3}){4,}[^\W\d_](?![^\W_])")
_NO_LETTERS = re.compile(r"[\W\d_]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_HEX = re.compile(r"(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s,:]?){12,}")
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-fA-F]+|\w{2,8});")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_MARKED = re.compile(r"[<\[#(*{|]|\b(?:record|system|assistant|developer)\b", re.IGNORECASE)


class Finding(NamedTuple):
    """Which rule, in which view of the text, and how sure it is."""

    rule: str
    view: str
    weight: float


class Injection:
    """Scores how clearly a request's texts address a judge; has no label, since it says nothing of faithfulness."""

    name = "injection"
    version = "1.0.0"
    needs: frozenset[str] = frozenset()
    asks = False
    edges: tuple[float, ...] = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
    content_hash = content_hash(
        name,
        version,
        (LONGEST, FEWEST_ESCAPES),
        [(rule.name, rule.pattern.pattern, rule.weight) for rule in (*RULES, *FORGED, *OTHER_LANGUAGES)],
    )

    def evaluate(self, request: Request) -> Score:
        found = None
        where = ""
        texts = [("response", request.response or ""), ("question", request.asked)]
        texts += [(f"context {n}", c.text) for n, c in enumerate(request.contexts)]
        for place, text in texts:
            finding = find(text[:LONGEST])
            if finding is not None and (found is None or finding.weight > found.weight):
                found, where = finding, place
        if found is None:
            return self._score(0.0, "nothing addresses a judge", ())
        spans: tuple[Span, ...] = ()
        if where == "response":
            spans = (Span(where="response", start=0, stop=len(request.response or ""), note=found.rule),)
        seen = "" if found.view == "plain" else f" ({found.view})"
        return self._score(found.weight, f"injection: {found.rule} in the {where}{seen}", spans)

    def _score(self, score: float, reason: str, spans: tuple[Span, ...]) -> Score:
        return Score(
            evaluator=self.name,
            version=self.version,
            content_hash=self.content_hash,
            score=score,
            label=None,
            confidence=max(score, 1 - score),
            reason=reason,
            spans=spans,
        )


@lru_cache(maxsize=CACHED_TEXTS)
def find(text: str) -> Finding | None:
    """The clearest finding in a text; None where there is none."""
    best: Finding | None = None
    for view, shown in _views(text):
        for finding in _look(view, shown):
            if best is None or finding.weight > best.weight:
                best = finding
    return best


def _look(view: str, text: str) -> Iterator[Finding]:
    if any(trigger in text for trigger in TRIGGERS):
        rules = RULES if view == "letters" else (*RULES, *FORGED)
        for rule in rules:
            if rule.pattern.search(text):
                yield Finding(rule.name, view, rule.weight)
    elif view == "plain" and _MARKED.search(text):
        for rule in FORGED:
            if rule.pattern.search(text):
                yield Finding(rule.name, view, rule.weight)
    if view == "plain" and any(stem in text for stem in LANGUAGE_STEMS):
        for rule in OTHER_LANGUAGES:
            if rule.pattern.search(text):
                yield Finding(rule.name, view, rule.weight)


def _views(text: str) -> Iterator[tuple[str, str]]:
    """A text and what it says in disguise, in lower case."""
    plain = _folded(text)
    yield "plain", plain
    for name, decoded in _decoded(text):
        yield name, _folded(decoded)
    latin = plain.translate(_LOOK_ALIKES) if not plain.isascii() else plain
    if latin != plain:
        yield "look-alikes", latin
    if _SPELLED.search(latin):
        yield "spelled out", _SPELLED.sub(lambda found: _NO_LETTERS.sub("", found[0]) + " ", latin)
        yield "letters", _NO_LETTERS.sub("", latin)
    leet = latin.translate(_LEET)
    if leet != latin:
        yield "leet", leet
    yield "reversed", latin[::-1]
    yield "rot13", codecs.encode(latin, "rot13")


def _folded(text: str) -> str:
    """NFKC, lower case, without invisible characters, runs of white space as one."""
    if text.isascii():
        return _SPACE.sub(" ", text.lower())
    shown = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text.translate(_TAGS))).casefold()
    return _SPACE.sub(" ", shown)


def _decoded(text: str) -> Iterator[tuple[str, str]]:
    """What is written in an encoding."""
    for found in _BASE64.finditer(text):
        data = _from_base64(found[0])
        if data:
            yield "base64", data
    for found in _HEX.finditer(text):
        digits = re.sub(r"0x|\\x|[\s,:]", "", found[0])
        data = _readable(bytes.fromhex(digits[: len(digits) // 2 * 2]))
        if data:
            yield "hexadecimal", data
    if "%" in text and len(_PERCENT.findall(text)) >= FEWEST_ESCAPES:
        yield "URL escapes", unquote(text)
    if "&" in text and len(_ENTITY.findall(text)) >= FEWEST_ESCAPES:
        yield "HTML entities", html.unescape(text)
    if "\\u" in text and len(_ESCAPE.findall(text)) >= FEWEST_ESCAPES:
        yield "escapes", _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def _from_base64(text: str) -> str:
    padded = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return _readable(base64.b64decode(padded + "=" * (-len(padded) % 4)))
    except (binascii.Error, ValueError):
        return ""


def _readable(data: bytes) -> str:
    """The text in some bytes; empty where they are none."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return ""
    return text if sum(c.isprintable() or c.isspace() for c in text) >= 0.95 * len(text) > 0 else ""
