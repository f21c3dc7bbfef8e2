"""How this program is called from where the user stands."""

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

NAME = "tidegauge"


def called_as(started_as: str, find: Callable[[str], str | None] = shutil.which) -> str:
    """Words that start this program again: its name where that is enough, else its path, as a shell reads them.

    `started_as` is the first of the words that it was started with.
    """
    path = Path(started_as)
    found = find(NAME)
    if path.name == "cli.py":  # python -m tidegauge.cli
        return f"{shlex.quote(sys.executable)} -m tidegauge.cli"
    if path.name != NAME or not path.is_file() or (found and os.path.samefile(found, path)):
        return NAME
    inside = path.absolute().is_relative_to(Path.cwd())
    return shlex.quote(os.path.relpath(path) if inside else str(path.absolute()))
