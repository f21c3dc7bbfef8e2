"""Texts leave the store after their time. Counts, sums, scores, labels and the rows that make requests unique stay.

Rows of requests are not deleted: one that comes again must be known as a repeat, and status counts samples. What is
large and what is private is in the texts. Only rows of the five-minute rollups are, which are many, and which nobody
asks for once the windows of the objectives have passed.
"""

from typing import NamedTuple

import msgspec

from tidegauge.domain import DAY, Micros, Request
from tidegauge.storage.store import Transaction

PORTION = 500
"""Rows of a transaction: short ones, that nobody has to wait for."""

_BEGIN = (-(2**62), "")

_decode = msgspec.json.Decoder(Request).decode
_encode = msgspec.json.Encoder(order="sorted").encode


class Portion(NamedTuple):
    """What a transaction removed: rows, bytes, and where the next one goes on; None at the end."""

    rows: int
    bytes: int
    after: tuple[Micros, str] | None


def prune_samples(
    tx: Transaction, before: Micros, after: tuple[Micros, str] | None = None, *, dry: bool = False
) -> Portion:
    """Removes the texts of samples with an event time before `before`, and what evaluators said of them."""
    time, name = after or _BEGIN
    rows = tx.rows("samples_to_prune", before=before, time=time, after=name, most=PORTION)
    bare = {row["request_id"]: without_texts(bytes(row["payload"])) for row in rows}
    saved = sum(len(row["payload"]) - len(bare[row["request_id"]]) for row in rows)
    if not dry and rows:
        tx.many("prune_sample", [{"request_id": name, "payload": bare[name]} for name in sorted(bare)])
        tx.rows_in("prune_verdicts", "ids", sorted(bare))
    last = (rows[-1]["timestamp"], rows[-1]["request_id"]) if len(rows) == PORTION else None
    return Portion(len(rows), saved, last)


def prune_quarantine(tx: Transaction, before: Micros, most: int = PORTION, *, dry: bool = False) -> tuple[int, int]:
    """Removes the bytes of lines from blocks that were done before `before`; rows and bytes."""
    rows = tx.rows("quarantine_to_prune", before=before, most=most)
    if not dry:
        places = ("generation", "block_start", "start")
        tx.many("prune_quarantine", [{name: row[name] for name in places} | {"raw": b""} for row in rows])
    return len(rows), sum(row["bytes"] for row in rows)


def prune_rollups(tx: Transaction, before: int) -> int:
    """Removes some rows of buckets before `before`; their number."""
    return tx.run("prune_rollups", before=before, most=PORTION)


def prune_shadows(tx: Transaction, before: Micros) -> None:
    """Removes the reasons of judges that were tried out."""
    tx.run("prune_shadow_verdicts", before=before)


def prune_answers(tx: Transaction, before: Micros) -> int:
    """Removes some answers of judges that were kept before `before` to stand in for new ones; their number."""
    return tx.run("prune_answers", before=before, most=PORTION)


def claim(tx: Transaction, now: Micros) -> bool:
    """Whether it is this process's turn: once a day, by one."""
    return bool(tx.rows("claim_pruning", now=now, day_ago=now - DAY))


def without_texts(payload: bytes) -> bytes:
    """A request without what was asked, retrieved and answered, and without whom it came from."""
    bare = msgspec.structs.replace(
        _decode(payload),
        response=None,
        question=None,
        messages=(),
        contexts=(),
        user_id=None,
        conversation_id=None,
        extra={},
    )
    return _encode(bare)
