"""Text as a model may read it behind a disguise: look-alike letters, hidden characters, encodings, reversed, spaced.

`plain` undoes what can be undone letter by letter; `disguises` decodes what looks encoded. Both are cheap on ordinary
text: every decoding stands behind a test that ordinary text fails.
"""

# ruff: noqa: RUF001 - look-alike letters are what this is about

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote

from evaluators.fence import HIDDEN

LEET = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "@": "a", "$": "s", "!": "i"}
_LEET = str.maketrans(LEET)

_PAIRS = """
    аa еe оo рp сc уy хx іi јj ѕs һh ԁd ԛq ԝw вb кk мm нh тt гr ԍg ѵv ӏl αa οo ρp νv εe ιi κk τt υu χx ηn ωw γy μm βb
    ςc օo սu հh ոn ցg ɑa ɡg ıi ɩi łl øo đd ħh ŧt ʟl ɪi ʀr ɴn ᴀa ʙb ᴄc ᴅd ᴇe ꜰf ɢg ʜh ᴊj ᴋk ᴍm ᴏo ᴘp ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ᴢz
    ƒf ʼ' ‘' ’' ′' “" ”" —- –- ‑- •* ꓲi ⅼl ℓl
"""
LOOK_ALIKES = {ord(pair[0]): pair[1] for pair in _PAIRS.split()}
LOOK_ALIKES |= {first + k: chr(97 + k) for first in (0x1F150, 0x1F170, 0x1F1E6) for k in range(26)}
"""Letters of other scripts, and drawn ones, by the Latin letter that they are read as."""

_SINGLE = bytes([1] * 6)  # lengths of words
_TAGS = 0xE0000
LONG = 20  # letters of a word that may be a code
FEWEST_CODES = 6  # different words with digits in a text of numbers
FEWEST_LETTERS = 4  # different letters in a text of letters apart
_MOST = 20_000  # characters of one piece that are decoded
_MOST_APART = 2_000
_MOST_PIECES = 256  # encoded pieces of one text

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{16,}(?:\s[A-Za-z0-9+/_-]{16,})*={0,2}")
_DENSE = re.compile(r"[0-9](?:[0-9a-fA-F]?+[ \t\n,:;\\x-]{0,3}[0-9]){9}")
_HEX = re.compile(r"[2-7][0-9a-fA-F](?:[\s,:;-]{0,2}(?:0x|\\x)?[0-9a-fA-F]{2}){9,}")
_CODES = re.compile(r"[0-9]{2,3}(?:[\s,;]{1,2}[0-9]{2,3}){9,}")
_BITS = re.compile(r"(?:[01]{8}\s?){10,}")
_ESCAPE = re.compile(r"\\u\{?([0-9a-fA-F]{4,6})\}?|\\x([0-9a-fA-F]{2})")
_UNDERSCORED = re.compile(r"[a-z]_[a-z]+_[a-z]")
_LEET_WORD = re.compile(r"[013457](?<=[a-z].)[a-z]")
_LEET_SIGN = re.compile(r"[@$!](?<=[a-z0-9].)[a-z0-9]")
_LEET_SIGNS = re.compile(r"(?<![a-z0-9])[a-z0-9]*[@$!][a-z0-9@$!]+")
_LETTERS_APART = re.compile(r"(?:(?<![^\W_])[^\W\d_][ .\-_*|/+\u00b7\t]{1,3}){6,}[^\W\d_](?![^\W_])")
_APART = re.compile(r"([^\W\d_])[ .\-_*|/+\u00b7\t](?=[^\W\d_](?![^\W_]))")


class Disguise(NamedTuple):
    """A text that was found behind another, how it was hidden, and where (offsets in the outer text)."""

    kind: str
    text: str
    start: int
    stop: int
    spaced: bool = False
    """Whether the spaces between its words may be lost."""


class _Plain(dict[int, str]):
    """Plain form by code point, computed when first met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if code in (0x85, 0x2028, 0x2029):
            said = "\n"
        elif HIDDEN.match(char) or 0xFE00 <= code <= 0xFE0F or code in (0x200C, 0x200D):
            said = chr(code - _TAGS) if _TAGS + 0x20 <= code < _TAGS + 0x7F else ""
        else:
            parts = (LOOK_ALIKES.get(code) or unicodedata.normalize("NFKD", char)).casefold()
            kept = "".join(c for c in unicodedata.normalize("NFKD", parts) if unicodedata.category(c) != "Mn")
            said = unicodedata.normalize("NFC", "".join(LOOK_ALIKES.get(ord(c), c) for c in kept))
        self[code] = said
        return said


_PLAIN = _Plain()


def plain(text: str) -> str:
    r"""Lower case, compatibility forms unified, accents and hidden characters off, look-alike letters as Latin ones.

    >>> plain("\u0406gn\u00f6\u200bre \uff34hi\u0455")
    'ignore this'
    """
    if text.isascii():
        return text.lower()
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return _BEYOND_ASCII.sub(lambda found: found[0].translate(_PLAIN), text).lower()


def offsets(text: str) -> list[int]:
    """For each character of `plain(text)` the place in the text that it comes from."""
    if text.isascii():
        return list(range(len(text)))
    return [place for place, char in enumerate(text) for _ in _PLAIN[ord(char)].lower()]


def from_base64(text: str) -> Iterator[Disguise]:
    return _decoded("base64", _ENCODED, text, _base64)


def from_digits(text: str) -> Iterator[Disguise]:
    """Bytes written as numbers."""
    if not _DENSE.search(text):
        return
    yield from _decoded("hex", _HEX, text, _hex)
    yield from _decoded("character codes", _CODES, text, _codes)
    yield from _decoded("binary", _BITS, text, _bits)


def from_escapes(text: str, low: str) -> Iterator[Disguise]:
    """Characters written otherwise, for a browser or a program; and spaces as underscores."""
    if text.count("%") >= 4:
        yield from _changed("URL escapes", text, unquote(text))
    if "&" in text:
        yield from _changed("HTML entities", text, html.unescape(text))
    if "\\u" in text or "\\x" in text:
        yield from _changed("escapes", text, _ESCAPE.sub(_unescaped, text))
    if low.count("_") >= 4 and _UNDERSCORED.search(low):
        yield Disguise("underscores", low.replace("_", " "), 0, len(text))


def letters_apart(low: str, words: Sequence[str]) -> Iterator[Disguise]:
    """Words whose letters stand alone."""
    if _SINGLE in bytes([len(word) if len(word) < 256 else 255 for word in words]):
        for found in islice(_LETTERS_APART.finditer(low), _MOST_PIECES):
            yield Disguise("letters apart", _APART.sub(r"\1", found[0][:_MOST_APART]), 0, len(low), spaced=True)


def is_leet(word: str) -> bool:
    """Whether a word mixes letters and digits as leetspeak does."""
    return _LEET_WORD.search(word) is not None


def words_with_signs(low: str) -> Iterator[str]:
    """Words in which signs stand for letters, read as letters."""
    if not _LEET_SIGN.search(low):
        return iter(())
    return (found[0].translate(_LEET) for found in islice(_LEET_SIGNS.finditer(low), _MOST_PIECES))


def straightened(low: str) -> Disguise:
    """Leetspeak, read as letters."""
    return Disguise("leetspeak", low.translate(_LEET), 0, len(low))


MIRRORS = frozenset({"reversed", "rot13"})
"""Disguises that are undone by putting them on once more."""


def reversed_text(text: str) -> Disguise:
    return Disguise("reversed", text[::-1], 0, len(text))


def rotated(text: str) -> Disguise:
    return Disguise("rot13", codecs.encode(text, "rot13"), 0, len(text))


def _decoded(kind: str, pattern: re.Pattern[str], text: str, decode: Callable[[str], bytes]) -> Iterator[Disguise]:
    for found in islice(pattern.finditer(text), _MOST_PIECES):
        try:
            said = decode(found[0][:_MOST]).decode("utf-8")
        except (ValueError, binascii.Error):
            continue
        if sum(c.isprintable() or c.isspace() for c in said) >= 0.9 * len(said):
            yield Disguise(kind, said, *found.span())


def _changed(kind: str, text: str, said: str) -> Iterator[Disguise]:
    if said != text:
        yield Disguise(kind, said, 0, len(text))


def _base64(text: str) -> bytes:
    data = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(data[: len(data) - (len(data) % 4 == 1)] + "=" * (-len(data) % 4))


def _hex(text: str) -> bytes:
    digits = re.sub(r"0x|\\x|[\s,:;-]", "", text)
    return bytes.fromhex(digits[: len(digits) // 2 * 2])


def _codes(text: str) -> bytes:
    return bytes(int(code) for code in re.findall(r"\d+", text))


def _bits(text: str) -> bytes:
    return bytes(int(byte, 2) for byte in re.findall("[01]{8}", text))


def _unescaped(found: re.Match[str]) -> str:
    code = int(found[1] or found[2], 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else ""
