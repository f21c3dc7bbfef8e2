"""Whether a name is one, and what somebody may have meant by one that is none."""

from collections.abc import Iterable

_CUTOFF = 0.5


def nearest(given: str, allowed: Iterable[str], cutoff: float = _CUTOFF) -> str | None:
    """The allowed name that is most like the given one, by `difflib`'s ratio; None where it is below the cutoff."""
    import difflib  # not for those who write what they mean: every command starts through here

    close = difflib.get_close_matches(given, list(allowed), n=1, cutoff=cutoff)
    return close[0] if close else None


def did_you_mean(given: str, allowed: Iterable[str], cutoff: float = _CUTOFF) -> str:
    """The end of a message about a wrong name; empty where none is near."""
    near = nearest(given, allowed, cutoff)
    return f"; did you mean {near}?" if near else ""


def is_text(name: str) -> bool:
    """Whether a name can be stored and printed. Any bytes but two may be in a name of the file system."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
