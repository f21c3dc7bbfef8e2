"""A parser of arguments whose errors are one line that names the command and the nearest right word."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from tidegauge.errors import UsageError

_CHOICE = re.compile(r"(?P<what>.*)invalid choice: '?(?P<given>.*?)'? \(choose from (?P<allowed>.*)\)", re.DOTALL)
_NEAR = 0.6


class Parser(argparse.ArgumentParser):
    """Raises UsageError instead of leaving the program."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        command = self.prog.partition(" ")[2]
        raise UsageError(f"{f'{command}: ' if command else ''}{_with_nearest(message)}; see {self.prog} --help")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As its base, but a command leaves nothing over: its own flags are the ones that were meant."""
        found, left = super().parse_known_args(args, namespace)
        if left:
            flags = [flag for action in self._actions for flag in action.option_strings]
            self.error("; ".join(f"there is no {word}{_hint(word.partition('=')[0], flags)}" for word in left))
        return found, left


def _with_nearest(message: str) -> str:
    """What argparse says of a wrong choice, with the nearest one if there is one."""
    said = _CHOICE.fullmatch(message)
    if said is None:
        return message
    allowed = [name.strip("' ") for name in said["allowed"].split(",")]
    hint = _hint(said["given"], allowed)
    return f"{said['what']}there is no {said['given']}{hint or '; there are ' + ', '.join(allowed)}"


def _hint(given: str, allowed: Sequence[str]) -> str:
    import difflib

    close = difflib.get_close_matches(given, allowed, n=1, cutoff=_NEAR)
    return f"; did you mean {close[0]}?" if close else ""
