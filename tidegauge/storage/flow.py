"""How the work flows: what waits at which stage and for how long, how fast it goes, who is at it.

The store is the truth: whatever process asks, it is told the same.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tidegauge.domain import SECOND, Micros
from tidegauge.storage import ledger
from tidegauge.storage.store import Row, Transaction

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of a histogram's buckets, in seconds; the last bucket has none."""

MOST_PLACES = 200
"""Places of a source that are told apart; those least behind are told in one."""

RECENT = 60 * SECOND
"""What a throughput is taken over."""

KINDS = ("block", "commit", "verdicts", "tick")
"""What is timed: reading and committing a block, committing it alone, committing verdicts, a look at all sources."""


class Gap(NamedTuple):
    """What of a source lies behind the last planned range."""

    place: str
    amount: int
    unit: str


class Look(NamedTuple):
    """One tick of a job: `every` and `took` in seconds, and why sources could not be looked at."""

    job: str
    every: float
    took: float
    failed: Mapping[str, str]


class Use(NamedTuple):
    """Requests in a process's judges' hands, and how many they take at once."""

    in_flight: int = 0
    at_once: int = 0


def note_tick(tx: Transaction, look: Look, now: Micros) -> None:
    error = "; ".join(f"{source}: {why}" for source, why in sorted(look.failed.items()))
    values = {"errors": int(bool(error)), "error": error[:500]}
    tx.run("note_tick", job=look.job, at=now, every=look.every, took=round(look.took * SECOND), **values)


def note_lag(tx: Transaction, source: str, gaps: Sequence[Gap], now: Micros) -> None:
    """Replaces what was known of the source."""
    ordered = sorted(gaps, key=lambda gap: (-gap.amount, gap.place))
    told, rest = ordered[:MOST_PLACES], ordered[MOST_PLACES:]
    if rest:
        told.append(Gap("", sum(gap.amount for gap in rest), rest[0].unit))
    rows = [{"source": source, "seen_at": now, **gap._asdict()} for gap in sorted(told)]
    tx.many("note_lag", rows)
    tx.run("forget_lag", source=source, before=now)


def note_use(tx: Transaction, owner: str, use: Use) -> None:
    tx.run("use_judges", owner=owner, **use._asdict())


def add_timings(tx: Transaction, rows: Sequence[Row]) -> None:
    """Adds to the histograms: rows of kind, bucket, observations, total in microseconds, units."""
    tx.many("add_timing", sorted(rows, key=lambda row: (row["kind"], row["bucket"])))


def flow(tx: Transaction, now: Micros) -> dict[str, Any]:
    """What waits, how fast it goes and who is at it. Ages and durations are in seconds."""
    live = ledger.live_rows(tx, now)
    recent = now - RECENT
    judged = tx.rows("flow_verdicts", since=recent)[0]
    seconds = RECENT / SECOND
    return {
        "stages": _stages(tx, now),
        "sources": _sources(tx, now),
        "throughput": {
            "records_a_second": int(tx.value("flow_records", since=recent) or 0) / seconds,
            "verdicts_a_second": int(judged["verdicts"] or 0) / seconds,
            "judge_calls_a_second": int(judged["calls"] or 0) / seconds,
        },
        "judge": _judge(live),
        "timings": timings(tx),
        "workers": len(live),
        "streams": flow_streams(tx, now),
        "run": _last_look(tx.first("flow_run"), now),
    }


def flow_streams(tx: Transaction, now: Micros) -> list[dict[str, Any]]:
    """Streams that were submitted and not ended, with their live workers and their last tick."""
    live = ledger.live_rows(tx, now)
    return [_stream(row, live, now) for row in tx.rows("flow_streams")]


def _age(then: Any, now: Micros) -> float:
    return max(0.0, (now - int(then)) / SECOND) if then else 0.0


def _stages(tx: Transaction, now: Micros) -> dict[str, dict[str, Any]]:
    """What waits to be read, judged, decided and delivered, and since when the oldest of it does."""
    blocks = tx.rows("flow_blocks")
    found: dict[str, Row | None] = {
        "read": {
            "waiting": sum(int(row["blocks"]) for row in blocks),
            "oldest": min((row["oldest"] for row in blocks), default=None),
        },
        "judge": tx.first("flow_pending"),
        "decide": tx.first("flow_undecided", now=now),
        "deliver": tx.first("flow_undelivered"),
    }
    return {
        name: {"waiting": int(row["waiting"]), "oldest_seconds": _age(row["oldest"], now)}
        for name, row in found.items()
        if row is not None
    }


def _sources(tx: Transaction, now: Micros) -> dict[str, dict[str, Any]]:
    """By source: units that are not planned yet; planned blocks that are not done, their units and the oldest's age."""
    behind = {row["source"]: row for row in tx.rows("flow_source_lag")}
    open_ = {row["source"]: row for row in tx.rows("flow_blocks")}
    found = {}
    for source in sorted({row["source"] for row in tx.rows("flow_sources")} | behind.keys() | open_.keys()):
        gap, blocks = behind.get(source), open_.get(source)
        known = gap or blocks
        found[source] = {
            "unit": known["unit"] if known else None,
            "behind": int(gap["amount"]) if gap else 0,
            "places_behind": int(gap["places"]) if gap else 0,
            "planned": int(blocks["amount"]) if blocks else 0,
            "blocks": int(blocks["blocks"]) if blocks else 0,
            "oldest_seconds": _age(blocks["oldest"], now) if blocks else 0.0,
        }
    return found


def _judge(live: Sequence[Row]) -> dict[str, Any]:
    in_flight, at_once = (sum(int(row[name]) for row in live) for name in Use._fields)
    return {"in_flight": in_flight, "at_once": at_once, "share": min(1.0, in_flight / at_once) if at_once else None}


def _stream(row: Row, live: Sequence[Row], now: Micros) -> dict[str, Any]:
    return {
        "job": row["job"],
        "runner": row["runner"],
        "workers": sum(1 for owner in live if owner["job"] == row["job"]),
        "submitted_seconds": _age(row["submitted_at"], now),
        "stopping": bool(row["stopping"]) and not row["failed"],
        "failed": row["failed"],
        "last_tick": _last_look(row if row["at"] else None, now),
    }


def _last_look(row: Row | None, now: Micros) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "age_seconds": _age(row["at"], now),
        "every_seconds": float(row["every"]),
        "took_seconds": int(row["took"]) / SECOND,
        "ticks": int(row["ticks"]),
        "errors": int(row["errors"]),
        "error": row["error"],
    }


class Timing(NamedTuple):
    """A histogram: observations in each bucket, their sum in seconds, and what was done in that time."""

    counts: tuple[int, ...]
    seconds: float
    units: int

    @property
    def observations(self) -> int:
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """The upper end of the bucket that it lies in; None without observations, infinite beyond the last bound."""
        seen, wanted = 0, share * self.observations
        for bound, count in zip((*BOUNDS, math.inf), self.counts, strict=True):
            seen += count
            if seen and seen >= wanted:
                return bound
        return None


def histograms(tx: Transaction) -> dict[str, Timing]:
    """The histogram of each kind, of all processes since the store was made."""
    found = {}
    rows = tx.rows("flow_timings")
    for kind in KINDS:
        mine = [row for row in rows if row["kind"] == kind]
        counts = {int(row["bucket"]): int(row["observations"]) for row in mine}
        found[kind] = Timing(
            tuple(counts.get(bucket, 0) for bucket in range(len(BOUNDS) + 1)),
            sum(int(row["total"]) for row in mine) / SECOND,
            sum(int(row["units"]) for row in mine),
        )
    return found


def timings(tx: Transaction) -> dict[str, dict[str, Any]]:
    """In figures; a quantile is an upper limit, None beyond the last bucket and where nothing was timed."""
    return {kind: _figures(timing) for kind, timing in histograms(tx).items()}


def _figures(timing: Timing) -> dict[str, Any]:
    quantiles = {name: timing.quantile(share) for name, share in (("p50_seconds", 0.5), ("p95_seconds", 0.95))}
    return {
        "observations": timing.observations,
        "seconds": timing.seconds,
        "units": timing.units,
        **{name: value if value is not None and math.isfinite(value) else None for name, value in quantiles.items()},
    }
