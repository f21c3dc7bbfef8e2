"""Stops: an intent whose decisions are frozen, by whom, why and until when. Evidence goes on growing meanwhile."""

from typing import Any

from tidegauge.domain import Micros, iso
from tidegauge.errors import UsageError
from tidegauge.storage.store import Transaction

EVERY_INTENT = "*"


def stop(tx: Transaction, intent: str, who: str, why: str, until: Micros | None, now: Micros) -> None:
    """Freezes an intent, or with `*` all. `until` None: until it is lifted. Raises UsageError."""
    if not why.strip() or not who.strip():
        raise UsageError("stops set: say who stops it and why")
    if until is not None and until <= now:
        raise UsageError("stops set: it would end before it begins")
    tx.run("insert_stop", intent=intent, made_at=now, who=who, why=why, until=until)


def lift(tx: Transaction, intent: str, who: str, now: Micros) -> int:
    """Ends the stops of an intent; their number. Raises UsageError where there is none."""
    lifted = tx.run("lift_stops", intent=intent, who=who, now=now)
    if not lifted:
        raise UsageError(f"stops lift: no stop is in force for {intent!r}; see tidegauge stops")
    return lifted


def stopped(tx: Transaction, now: Micros) -> dict[str, str]:
    """Why each stopped intent is; the key `*` stands for all."""
    return {row["intent"]: row["why"] for row in tx.rows("stops_in_force", now=now)}


def is_stopped(found: dict[str, str], intent: str) -> bool:
    return EVERY_INTENT in found or intent in found


def stop_rows(tx: Transaction, now: Micros) -> list[dict[str, Any]]:
    """As `tidegauge stops --json` prints them, all that ever were."""
    return [
        {
            "intent": row["intent"],
            "in_force": row["lifted_at"] is None and (row["until"] is None or row["until"] > now),
            "since": iso(row["made_at"]),
            "until": None if row["until"] is None else iso(row["until"]),
            "who": row["who"],
            "why": row["why"],
            "lifted_at": None if row["lifted_at"] is None else iso(row["lifted_at"]),
            "lifted_by": row["lifted_by"] or None,
        }
        for row in tx.rows("all_stops")
    ]
