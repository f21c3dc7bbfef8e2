"""Findings that are no reason for a rollback."""

import json
from typing import Any

from tidegauge.domain import HALLUCINATION, Micros, iso, short_hash
from tidegauge.storage.store import Transaction


def ticket_id(kind: str, subject: dict[str, Any]) -> str:
    """Stable: the same finding about the same subject is one ticket."""
    return short_hash(kind, json.dumps(subject, sort_keys=True))


def subject_of(indicator: str, intent: str, deployment: str, episode: int) -> dict[str, str | int]:
    """What a ticket about a test is about, and so its id: those of hallucinations are older than other indicators."""
    subject: dict[str, str | int] = {"intent": intent, "deployment": deployment, "episode": episode}
    return subject if indicator == HALLUCINATION else subject | {"indicator": indicator}


def open_ticket(
    tx: Transaction, *, kind: str, subject: dict[str, Any], owner: str, evidence: dict[str, Any], now: Micros
) -> str:
    """Opens a ticket, once for a kind and subject; its id. One that is open gets the newer evidence, a closed one
    opens again."""
    ticket = ticket_id(kind, subject)
    tx.run(
        "open_ticket",
        ticket=ticket,
        kind=kind,
        subject=json.dumps(subject, sort_keys=True),
        owner=owner,
        opened_at=now,
        evidence=json.dumps(evidence, sort_keys=True),
    )
    return ticket


def close_ticket(tx: Transaction, ticket: str, now: Micros) -> bool:
    """Whether there was an open one."""
    return tx.run("close_ticket", ticket=ticket, now=now) > 0


def ticket_rows(tx: Transaction) -> list[dict[str, Any]]:
    """As `tidegauge tickets --json` prints them."""
    return [
        {
            "id": row["ticket"],
            "kind": row["kind"],
            "subject": json.loads(row["subject"]),
            "owner": row["owner"],
            "opened_at": iso(row["opened_at"]),
            "state": row["state"],
            "evidence": json.loads(row["evidence"]),
        }
        for row in tx.rows("list_tickets")
    ]
