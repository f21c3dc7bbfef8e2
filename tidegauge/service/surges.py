"""Surges as they stand: more labels while an intent's evidence grows, and why."""

from collections.abc import Sequence
from math import exp
from typing import Any

from tidegauge.domain import DAY, HALLUCINATION, Micros, Value, iso
from tidegauge.slo import surge as rules
from tidegauge.storage.store import Row, Transaction


class Surge(Value, frozen=True, kw_only=True):
    """What a snapshot multiplies the label budget by. Times are event times; the bucket counts labels."""

    at: Micros = 0
    s: float = 1.0
    bucket: float = 0.0
    log_m: float | None = None
    """Highest running evidence of a live deployment; None where there is none."""
    deployment: str = ""
    since: Micros | None = None


def next_surge(
    last: Surge | None,
    *,
    used: float,
    evidence: Sequence[Row],
    labels_per_day: float,
    labels_per_item: float,
    newest: Micros,
) -> Surge:
    """The surge of a new snapshot. `used` is what the last one came to; `evidence` has deployment, log_e and last_at of
    the intent's tests, the highest first. A deployment without traffic for a day is not live; where none is live the
    budget is spent evenly."""
    full = float(rules.capacity(labels_per_day))
    days = 0.0 if last is None else max(newest - last.at, 0) / DAY
    bucket = full if last is None else float(rules.refilled(last.bucket, labels_per_day, days, used))
    live = next((row for row in evidence if newest - row["last_at"] < DAY), None)
    log_m = None if live is None else float(live["log_e"])
    s = 1.0 if log_m is None else float(rules.multiplier(log_m, bucket))
    on = s > 1 > labels_per_item  # where everything is reviewed anyway there is nothing to add
    return Surge(
        at=newest,
        s=s,
        bucket=bucket,
        log_m=log_m,
        deployment=live["deployment"] if live else "",
        since=(last.since if last and last.since is not None else newest) if on else None,
    )


def surges(tx: Transaction, indicator: str = HALLUCINATION) -> dict[str, dict[str, Any]]:
    """Of every intent: whether a surge is on, since when and why, and what is left in the bucket."""
    return {row["intent"]: _shown(row) for row in tx.rows("surges", indicator=indicator)}


def _shown(row: Row) -> dict[str, Any]:
    on = row["since"] is not None
    return {
        "on": on,
        "times": row["s"],
        "since": iso(row["since"]) if on else None,
        "deployment": row["deployment"] or None,
        "evidence": None if row["log_m"] is None else exp(min(row["log_m"], 700.0)),
        "bucket": row["bucket"],
        "capacity": row["capacity"],
        "why": _why(row) if on else None,
    }


def _why(row: Row) -> str:
    return (
        f"{row['s']:g} times the labels since {iso(row['since'])[:16]}Z: the evidence that deployment "
        f"{row['deployment']} misses its objective stands at {exp(min(row['log_m'], 700.0)):.2g} to 1 and decides at "
        f"{1 / row['alpha']:.0f} to 1; {max(row['bucket'], 0.0):.0f} of {row['capacity']:.0f} extra labels are left"
    )
