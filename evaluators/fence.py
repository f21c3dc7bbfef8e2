"""The fence around a record: a line that nobody can foresee before and after it, and nothing hidden within.

A record is untrusted text. It stands as one line of JSON, so that none of its lines can be the fence; the fence carries
a fresh random code, so that no record can have been written to end it; and what people would not see when they read the
record (control, bidirectional and invisible characters) is written out, so that the judge reads what they do.
"""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence

import msgspec

VISIBLE_BEYOND = "\u0600"
"""From here on joiners are part of ordinary writing: Arabic, the Indic scripts, emoji."""

_JOINER = f"(?<![{VISIBLE_BEYOND}-\U0010ffff])[\u200c\u200d]|[\u200c\u200d](?![{VISIBLE_BEYOND}-\U0010ffff])"
_SELECTORS = "(?<=[\ufe00-\ufe0f])[\ufe00-\ufe0f]|(?<![\u00a9\u00ae\u203c-\U0010ffff#*0-9])[\ufe00-\ufe0f]"
_HIDDEN = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
HIDDEN = re.compile(f"{_HIDDEN}|{_JOINER}|{_SELECTORS}")
"""Characters that are not seen, or that change how others are seen. Tabs and line ends are not among them."""


def new_code() -> str:
    """128 random bits in hexadecimal."""
    return secrets.token_hex(16)


def visible(text: str) -> str:
    r"""The text with every hidden character written out. Lone surrogates, which no JSON can carry, become `?`.

    >>> visible("a\u202eb")
    'a<U+202E>b'
    """
    if text.isascii() and text.isprintable():
        return text
    shown = HIDDEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)
    return shown.encode("utf-8", "replace").decode()


def fenced(template: str, values: Mapping[str, str | Sequence[str]], code_of: Callable[[], str] = new_code) -> str:
    """The template with its {code} and {record}. `code_of` is asked until its code does not occur in the record."""
    shown = {
        name: visible(value) if isinstance(value, str) else [visible(text) for text in value]
        for name, value in values.items()
    }
    record = msgspec.json.encode(shown).decode()
    code = code_of()
    while code in record:
        code = code_of()
    return template.format(code=code, record=record)
