"""What waits and how fast it goes, for people."""

from collections.abc import Mapping
from typing import Any

from tidegauge import show

_STAGES = {
    "read": "blocks to read",
    "judge": "samples to judge",
    "decide": "tests to decide",
    "deliver": "webhooks to deliver",
}


def text(found: Mapping[str, Any]) -> str:
    """The whole view."""
    speed = found["throughput"]
    lines = [
        show.table(
            ("stage", "waiting", "oldest"),
            [(name, stage["waiting"], _oldest(stage)) for name, stage in _named(found)],
        ),
        "",
        *(_sources(found) or ["No source was looked at yet. Next: tidegauge run"]),
        "",
        f"last minute: {speed['records_a_second']:.1f} records/s, {speed['verdicts_a_second']:.1f} verdicts/s",
        _judge(found),
        *_streams(found),
        *([] if found["workers"] else ["Nobody is at work. Next: tidegauge run, or tidegauge stream"]),
        *_timings(found["timings"]),
    ]
    return "\n".join(lines)


def waiting(found: Mapping[str, Any]) -> list[str]:
    """In a line what waits, and for how long; a line for every source that is behind, and every stream."""
    stages = [
        f"{stage['waiting']} {name}, the oldest for {age(stage['oldest_seconds'])}"
        for name, stage in _named(found)
        if stage["waiting"]
    ]
    return ["waiting: " + ("; ".join(stages) or "nothing"), *_behind(found), *_streams(found)]


def age(seconds: float) -> str:
    """A span in the unit that it is read in: 12 s, 3.5 min, 2.1 h, 4.0 d."""
    for limit, unit, size in ((120, "s", 1), (7_200, "min", 60), (172_800, "h", 3_600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}" if size == 1 else f"{seconds / size:.1f} {unit}"
    return f"{seconds / 86_400:.1f} d"


def _named(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(_STAGES[name], stage) for name, stage in found["stages"].items()]


def _oldest(stage: Mapping[str, Any]) -> str:
    return age(stage["oldest_seconds"]) if stage["waiting"] else "-"


def _sources(found: Mapping[str, Any]) -> list[str]:
    return _behind(found) or [f"{source}: all is planned and read" for source in found["sources"]]


def _behind(found: Mapping[str, Any]) -> list[str]:
    lines = []
    for source, row in found["sources"].items():
        parts = []
        if row["blocks"]:
            parts.append(
                f"{row['planned']:,} {row['unit']} in {row['blocks']} blocks planned and not read,"
                f" the oldest for {age(row['oldest_seconds'])}"
            )
        if row["behind"]:
            parts.append(f"{row['behind']:,} {row['unit']} not planned")
        if parts:
            lines.append(f"{source}: " + "; ".join(parts))
    return lines


def _judge(found: Mapping[str, Any]) -> str:
    judge, calls = found["judge"], found["throughput"]["judge_calls_a_second"]
    if judge["share"] is None:
        return "judge: nobody asks one now"
    return f"judge: {judge['in_flight']} requests in hand of {judge['at_once']} at once, {calls:.1f} calls/s"


def _streams(found: Mapping[str, Any]) -> list[str]:
    lines = [_stream(stream) for stream in found["streams"]]
    if found["run"] is not None and not lines:
        lines.append(f"last look {age(found['run']['age_seconds'])} ago{_errors(found['run'])}")
    return lines


def _stream(stream: Mapping[str, Any]) -> str:
    name = f"stream {stream['job']} on {stream['runner']}"
    if stream["failed"]:
        return f"{name}: failed, and is submitted again soon: {stream['failed']}"
    state = "stopping, " if stream["stopping"] else ""
    last = stream["last_tick"]
    if last is None:
        return f"{name}: {state}submitted {age(stream['submitted_seconds'])} ago, no tick yet"
    return (
        f"{name}: {state}{stream['workers']} workers, last tick {age(last['age_seconds'])} ago"
        f" in {last['took_seconds']:.2f} s of {last['every_seconds']:g} s{_errors(last)}"
    )


def _errors(last: Mapping[str, Any]) -> str:
    return f"; could not look at {last['error']}" if last["error"] else ""


def _timings(timings: Mapping[str, Any]) -> list[str]:
    commit = timings["commit"]
    if not commit["observations"]:
        return []
    p95 = commit["p95_seconds"]
    return [
        f"commits of blocks: {commit['observations']}, 95 % within {'more than 30' if p95 is None else f'{p95:g}'} s"
    ]
