"""Breaches that only the mix of traffic explains: a rollback would not help, and a ticket says so instead.

The ticket ends with the breach, or with the test: one that no traffic comes to any more asks for nothing.
"""

from tidegauge.domain import Micros
from tidegauge.service import attribution, incidents, tickets
from tidegauge.storage import evidence
from tidegauge.storage.evidence import TestKey
from tidegauge.storage.store import Transaction

KIND = "mix_shift"


def alone(tx: Transaction, key: TestKey, owner: str, now: Micros) -> bool:
    """Whether only the mix moved; the ticket is opened, kept or closed accordingly."""
    found = attribution.attribute(tx, key.intent, key.deployment, key.indicator)
    if found.mix_only and incidents.is_live(tx, key):
        told = {"said": found.said, "rate": found.mix.raw, "fixed_mix": found.mix.fixed_mix}
        tickets.open_ticket(tx, kind=KIND, subject=_subject(key), owner=owner, evidence=told, now=now)
    else:
        end(tx, key, now)
    return found.mix_only


def end(tx: Transaction, key: TestKey, now: Micros) -> None:
    tickets.close_ticket(tx, _ticket(key), now)


def check(tx: Transaction, now: Micros) -> None:
    """Closes the tickets of tests that are over."""
    told = {row["ticket"] for row in tx.rows("open_subjects", kind=KIND)}
    for key in evidence.keys(tx) if told else ():
        if _ticket(key) in told and not incidents.is_live(tx, key):
            end(tx, key, now)


def _ticket(key: TestKey) -> str:
    return tickets.ticket_id(KIND, _subject(key))


def _subject(key: TestKey) -> dict[str, str | int]:
    return tickets.subject_of(key.indicator, key.intent, key.deployment, key.episode)
