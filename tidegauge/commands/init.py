"""`tidegauge init [DIR]`."""

import shlex
from pathlib import Path

from tidegauge.commands.context import Context, note
from tidegauge.commands.example_slos import EXAMPLE
from tidegauge.commands.template import TEMPLATE
from tidegauge.config_load import DEFAULT_NAME
from tidegauge.errors import TidegaugeError, UsageError


def run(context: Context) -> int:
    """Writes the files; never over others."""
    directory = context.args.directory
    _write(directory / DEFAULT_NAME, TEMPLATE)
    if not any((directory / "slo").glob("*.yaml")):
        _write(directory / "slo" / "objectives.yaml", EXAMPLE)
    go = "" if directory.resolve() == Path.cwd() else f"`cd {shlex.quote(str(directory))}`, "
    note(f"next: {go}set `sources` to your log, then `tidegauge check` and `tidegauge run`")
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already and stays as it is; name another directory") from None
    except OSError as error:
        raise TidegaugeError(f"{path}: cannot be written: {error.strerror}") from None
    note(f"wrote {path}")
