"""The stages of a rollback: which may follow which, and the one function that moves an incident along.

The diagram in docs/rollback.md is compared with `TRANSITIONS` by a test.
"""

import json
from collections.abc import Mapping
from typing import Any

from tidegauge.domain import IncidentState, Micros, Stage
from tidegauge.errors import UsageError
from tidegauge.service import tickets
from tidegauge.storage.store import Row, Transaction

TRANSITIONS: Mapping[Stage, frozenset[Stage]] = {
    Stage.PROPOSED: frozenset({Stage.APPROVED, Stage.VERIFIED, Stage.FAILED, Stage.CANCELLED}),
    Stage.APPROVED: frozenset({Stage.SENT, Stage.VERIFIED, Stage.FAILED, Stage.CANCELLED}),
    Stage.SENT: frozenset({Stage.ACKNOWLEDGED, Stage.VERIFIED, Stage.FAILED, Stage.CANCELLED}),
    Stage.ACKNOWLEDGED: frozenset({Stage.VERIFIED, Stage.FAILED}),
    Stage.FAILED: frozenset({Stage.APPROVED, Stage.VERIFIED, Stage.CANCELLED}),
    Stage.VERIFIED: frozenset(),
    Stage.CANCELLED: frozenset(),
}
"""Failed is no end: a person approves again, cancels, or the traffic leaves after all."""

TIDEGAUGE = "tidegauge"
"""Who acts where no person does."""

FAILED = "rollback_failed"
"""The kind of the ticket about a rollback that failed; it is open until all is over."""

HISTORICAL, CANARY = "breach_historical", "canary_breach"
"""The kinds of the tickets beside an incident: of a deployment without traffic, and of a canary."""

BY_COMMAND = "by command"
"""Why a person acts who does not say it."""


def stage_of(tx: Transaction, incident: str) -> Stage | None:
    """Locks the incident until the end of the transaction; None outside of the protocol. Raises UsageError."""
    row = tx.first("lock_incident", incident=incident)
    if row is None:
        raise UsageError(f"incident {incident}: there is none of this id; see `tidegauge incidents`")
    return Stage(row["stage"]) if row["stage"] else None


def move(
    tx: Transaction, incident: str, to: Stage, *, who: str, why: str, now: Micros, what: str | None = None
) -> None:
    """One transition and its row of history, which says `what` happened where the stage's name does not.

    Raises UsageError where the table does not allow it.
    """
    stage = stage_of(tx, incident)
    if stage is None or to not in TRANSITIONS[stage]:
        raise UsageError(f"incident {incident}: it is {stage or 'no rollback'} and cannot become {to}")
    tx.run("set_stage", incident=incident, stage=to.value, now=now)
    if not TRANSITIONS[to]:
        close_tickets(tx, incident, now)
    if to is Stage.VERIFIED:
        tx.run("set_incident_state", incident=incident, state=IncidentState.RESOLVED.value)
    note(tx, incident, who=who, what=what or to.value, why=why, now=now, stages=(stage.value, to.value))


def close_tickets(tx: Transaction, incident: str, now: Micros) -> None:
    """Those about an incident that is over."""
    row = tx.first("incident", incident=incident)
    assert row is not None
    about = {FAILED: failed_subject(row)}
    about[HISTORICAL] = tickets.subject_of(row["indicator"], row["intent"], row["deployment"], int(row["episode"]))
    about[CANARY] = {"canary": json.loads(row["evidence"]).get("canary"), "deployment": row["deployment"]}
    for kind, subject in about.items():
        tickets.close_ticket(tx, tickets.ticket_id(kind, subject), now)


def failed_subject(row: Row) -> dict[str, Any]:
    """What the ticket about a rollback that failed is about, by the row of its incident."""
    return {name: row[name] for name in ("incident", "intent", "deployment")}


def note(
    tx: Transaction,
    incident: str,
    *,
    who: str,
    what: str,
    why: str,
    now: Micros,
    stages: tuple[str, str] = ("", ""),
) -> None:
    """One more line in an incident's history; rows are never changed."""
    old, new = stages
    tx.run(
        "insert_incident_event", incident=incident, at=now, who=who, what=what, why=why, from_stage=old, to_stage=new
    )
