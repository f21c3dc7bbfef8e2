"""The text of a message: several notices together, each understood in ten seconds."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from tidegauge.domain import iso
from tidegauge.service import words
from tidegauge.service.explain import cause
from tidegauge.service.incidents import incident_rows
from tidegauge.storage.store import Row, Transaction

MOST_IN_FULL = 10

_TIME = ("breach", "undelivered", "failed", "resolved", "ticket", "ticket_closed")
_GRAVE = ("failed", "undelivered", "breach", "ticket", "resolved", "ticket_closed")
_TITLES = {
    "breach": "breach",
    "undelivered": "rollback NOT DELIVERED",
    "failed": "rollback FAILED",
    "resolved": "resolved",
}


class Message(NamedTuple):
    """`tone`: how services colour it, and whether PagerDuty triggers or resolves."""

    title: str
    body: str
    tone: Literal["page", "ticket", "resolved"]


def compose(tx: Transaction, notices: Sequence[Row], link: str | None) -> Message:
    """One message of all of them, the gravest first; at most ten in full, the others by their titles.

    Of one subject only the newest notice is told: nobody is woken by what is over.
    """
    newest = {n["subject"]: n for n in sorted(notices, key=lambda n: (n["created_at"], _TIME.index(n["kind"])))}
    rows = sorted(newest.values(), key=lambda n: (_GRAVE.index(n["kind"]), n["created_at"], n["notice"]))
    known = {row["id"]: row for row in incident_rows(tx)}
    parts = [_part(tx, notice, known, link) for notice in rows]
    texts = [f"{title}\n{body}" if len(parts) > 1 else body for title, body in parts[:MOST_IN_FULL]]
    texts += [title for title, _ in parts[MOST_IN_FULL:]]
    more = f" (and {len(parts) - 1} more)" if len(parts) > 1 else ""
    return Message(parts[0][0] + more, "\n\n".join(texts), _tone({notice["kind"] for notice in rows}))


def _tone(kinds: set[str]) -> Literal["page", "ticket", "resolved"]:
    if kinds & {"breach", "undelivered", "failed"}:
        return "page"
    return "ticket" if "ticket" in kinds else "resolved"


def _part(tx: Transaction, notice: Row, known: Mapping[str, Any], link: str | None) -> tuple[str, str]:
    row = known.get(notice["subject"])
    return _ticket(tx, notice) if row is None else _incident(tx, notice, row, link)


def _incident(tx: Transaction, notice: Row, row: Mapping[str, Any], link: str | None) -> tuple[str, str]:
    moves = [e for e in tx.rows("incident_history", incident=row["id"]) if e["to_stage"]]
    lines = [
        f"What: {words.what(row)}",
        f"Sure: {words.sure(row)}",
        f"Release: {words.release(row, cause(tx, row))}",
        f"Done: {words.done(row, moves[-1] if moves else None)}",
        f"Check: tidegauge explain {row['id']}",
    ]
    lines += [f"Next: {step}" for step in words.next_steps(row)]
    if link:
        lines.append(f"Link: {link.replace('{incident}', row['id'])}")
    return f"{_TITLES[notice['kind']]}: {words.plain(row['intent'])}", "\n".join(lines)


def _ticket(tx: Transaction, notice: Row) -> tuple[str, str]:
    row = tx.first("ticket", ticket=notice["subject"])
    if row is None:
        return f"ticket {notice['subject']}", "it is gone"
    kind = str(row["kind"]).replace("_", " ")
    subject = ", ".join(f"{k} {words.plain(v)}" for k, v in json.loads(row["subject"]).items())
    closed = notice["kind"] == "ticket_closed"
    facts = ", ".join(
        f"{k} {words.plain(v, 60)}" for k, v in json.loads(row["evidence"]).items() if isinstance(v, int | float | str)
    )
    lines = [
        f"What: {kind}; {subject}",
        f"Seen: {facts}",
        f"Since: {iso(row['opened_at'])}",
        "Check: tidegauge tickets",
    ]
    return f"{'closed' if closed else 'ticket'}: {kind} ({subject})", "\n".join(lines[:1] if closed else lines)
