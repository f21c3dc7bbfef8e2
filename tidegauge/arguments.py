"""A parser of arguments whose errors are one line that names the command and the nearest right word."""

import argparse
import re
from typing import Any, NoReturn

from tidegauge.errors import UsageError
from tidegauge.spelling import did_you_mean, is_text

_CHOICE = re.compile(r"(?P<what>.*)invalid choice: '?(?P<given>.*?)'? \(choose from (?P<allowed>.*)\)", re.DOTALL)
_NEAR = 0.6
_PATHS = ("store", "dir")
"""May be any bytes, as names of files are."""


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
            hints = (did_you_mean(word.partition("=")[0], flags, _NEAR) for word in left)
            self.error("; ".join(f"there is no {word}{hint}" for word, hint in zip(left, hints, strict=True)))
        for name, value in vars(found).items():
            if isinstance(value, str) and name not in _PATHS and not is_text(value):
                self.error(f"{value} is not UTF-8")
        return found, left


def who(to: argparse.ArgumentParser) -> None:
    """The flag that says who acts."""
    to.add_argument("--who", metavar="NAME", help="default: $TIDEGAUGE_WHO, else the login name")


def why(to: argparse.ArgumentParser, *, required: bool) -> None:
    """The flag that says why somebody acts."""
    to.add_argument("--why", required=required, metavar="TEXT", help="kept beside the name")


def unseen(to: argparse.ArgumentParser) -> None:
    """The flag that allows the name of an intent that is not there yet."""
    to.add_argument("--unseen", action="store_true", help="though nobody knows the name yet: it is still to come")


def _with_nearest(message: str) -> str:
    """What argparse says of a wrong choice, with the nearest one if there is one."""
    said = _CHOICE.fullmatch(message)
    if said is None:
        return message
    allowed = [name.strip("' ") for name in said["allowed"].split(",")]
    hint = did_you_mean(said["given"], allowed, _NEAR)
    return f"{said['what']}there is no {said['given']}{hint or '; there are ' + ', '.join(allowed)}"
