"""Whether the job is alive, as a probe asks: streams that were submitted and do not look at their sources any more."""

from collections.abc import Mapping, Sequence
from typing import Any

from tidegauge.domain import Micros
from tidegauge.storage.flow import flow_streams
from tidegauge.storage.store import Transaction

FEWEST_TICKS = 10
SILENCE_SECONDS = 30.0
"""A stream is alive while its last tick is younger than this, or than ten of its ticks where those are longer."""

START_SECONDS = 120.0
"""So long may pass from a stream's submission to its first tick: an engine is sent its libraries first."""


def trouble(tx: Transaction, now: Micros) -> list[str]:
    """Why the job is not alive, a line for each stream; nothing where all are, and where none is registered."""
    return [line for stream in flow_streams(tx, now) if (line := _trouble(stream))]


def _trouble(stream: Mapping[str, Any]) -> str | None:
    name = f"stream {stream['job']} on {stream['runner']}"
    if stream["failed"]:
        return f"{name}: failed and is not running: {stream['failed']}"
    if stream["stopping"]:
        return None
    last = stream["last_tick"]
    if last is None:
        since = stream["submitted_seconds"]
        return f"{name}: submitted {since:.0f} s ago and never ticked" if since > START_SECONDS else None
    if last["age_seconds"] > max(SILENCE_SECONDS, FEWEST_TICKS * last["every_seconds"]):
        return (
            f"{name}: the last tick was {last['age_seconds']:.0f} s ago, one was due every {last['every_seconds']:g} s"
        )
    return None


def report(reasons: Sequence[str]) -> dict[str, Any]:
    """What a probe is answered."""
    return {"status": "failing", "reasons": list(reasons)} if reasons else {"status": "ok"}
