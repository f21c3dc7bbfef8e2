"""Untrusted text stands between two lines that carry a code of this call alone, and shows what it is made of."""

import re
import secrets

_UNSEEN = re.compile(
    "["
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # controls, but for tab, newline and carriage return, which JSON escapes
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners and fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"  # zero width, bidirectional
    "\U000e0000-\U000e0fff"  # tags and further variation selectors
    "]"
)


def visible(text: str) -> str:
    """Control, bidirectional and invisible characters by their number; lone surrogates, which no JSON carries, as `?`.

    >>> visible("a\\u202eb")
    'a<U+202E>b'
    """
    return _UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text.encode("utf-8", "replace").decode())


def fence(record: str, code: str | None = None) -> str:
    """A record of one line between BEGIN RECORD and END RECORD with a code that nobody could know before this call.

    JSON on one line cannot hold a line of its own, so the record cannot close the fence even if the code were known.
    """
    code = code or secrets.token_hex(8)
    return f"BEGIN RECORD {code}\n{record}\nEND RECORD {code}"
