"""The review queue and the reviewers' opinions."""

from collections.abc import Iterator, Sequence
from typing import Any

from tidegauge.domain import HALLUCINATION, Value
from tidegauge.storage.store import Row, Transaction


class Outcome(Value, frozen=True, kw_only=True):
    """What was frozen about an item, and its effective label."""

    request_id: str
    test_key: str | None
    event_block: int
    test_block: int
    evaluator_hash: str
    bin: int
    pi1: float
    u: float
    f: float
    pi: float
    reviewed: int
    returned: int
    y: int


class Opinion(Value, frozen=True, kw_only=True):
    """The newest row of one reviewer about one request; value None: cannot tell."""

    sequence: int
    value: int | None
    note: str


def lock_outcomes(tx: Transaction, ids: Sequence[str], indicator: str = HALLUCINATION) -> dict[str, Outcome]:
    """Outcomes by request id, locked until the end of the transaction, so that opinions about one item queue up."""
    rows = tx.rows_in("lock_outcomes", "ids", sorted(set(ids)), indicator=indicator)
    return {row["request_id"]: Outcome(**row) for row in rows}


def newest_opinions(
    tx: Transaction, ids: Sequence[str], indicator: str = HALLUCINATION
) -> dict[str, dict[str, Opinion]]:
    """By request id and reviewer."""
    found: dict[str, dict[str, Opinion]] = {}
    for row in tx.rows_in("opinions", "ids", sorted(set(ids)), indicator=indicator):
        opinion = Opinion(sequence=row["sequence"], value=row["value"], note=row["note"])
        found.setdefault(row["request_id"], {})[row["reviewer"]] = opinion
    return found


def queued_by_day(
    tx: Transaction, intents: Sequence[str], since: int, indicator: str = HALLUCINATION, why: str | None = None
) -> dict[tuple[str, int], int]:
    """Cases ever queued, by intent and event day; of one reason where it is given."""
    given = {"since": since, "indicator": indicator, **({"why": why} if why else {})}
    rows = tx.rows_in("queued_of_days_for" if why else "queued_of_days", "intents", sorted(set(intents)), **given)
    return {(row["intent"], row["event_day"]): int(row["cases"]) for row in rows}


def queue(tx: Transaction, cases: Sequence[Row]) -> None:
    tx.bulk("insert_review_case", sorted(cases, key=lambda case: str(case["request_id"])))


def open_cases(tx: Transaction) -> Iterator[dict[str, Any]]:
    """Cases of all indicators that wait for a label, most urgent first, with the sample's payload."""
    for row in tx.stream("open_cases"):
        yield dict(row)
