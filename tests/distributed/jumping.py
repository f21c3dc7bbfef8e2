"""`tidegauge stream` under a clock that a test sets: the wall clock, and as many seconds as a file says."""

from pathlib import Path

from pipelines.stream import stream
from tidegauge.commands.context import SystemClock
from tidegauge.config_load import load
from tidegauge.domain import SECOND
from tidegauge.storage.store import Store


class JumpingClock:
    """Travels to the workers, which must see the file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def now(self) -> int:
        return SystemClock().now() + round(float(Path(self._path).read_text() or 0) * SECOND)


def jump(path: Path, seconds: float) -> None:
    """Never half written."""
    new = path.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(path)


def main(runner: str, config_file: str, clock_file: str) -> None:
    config = load(Path(config_file), {})
    summary = stream(config, Store(config.store.url), JumpingClock(clock_file), runner)
    print("all work in hand was done" if summary.drained else "stopped at once")
