"""What was frozen about final samples, and the sums that decisions and rates are made from."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from tidegauge.domain import Deployment, Micros, Value, short_hash
from tidegauge.slo import BETS, RateSums
from tidegauge.storage.store import Row, Transaction

_TERMS = tuple(f"s{k}" for k in range(BETS))


class TestKey(Value, frozen=True, kw_only=True):
    """One sequential test: an indicator of an intent and a deployment, in one episode of traffic."""

    __test__ = False  # no test class, whatever pytest thinks

    test_key: str
    indicator: str
    intent: str
    deployment: str
    episode: int
    objective: int
    pi_ref: float
    bets: int
    """How many sums of a block count; fixed when the test began."""
    first_block: int
    first_at: Micros
    last_at: Micros
    read_block: int
    """Newest block that a decision has read; -1 before the first decision."""
    version: int
    decided_version: int
    log_e: float
    max_log_e: float
    escalated: int
    """0 never, 1 evidence is wanted now, 2 it was once."""


class Additions:
    """Sums to be added to the store, merged first: one row a block, written in the order of the keys."""

    def __init__(self) -> None:
        self._tests: dict[tuple[str, int], list[float]] = {}
        self._rates: dict[tuple[str, int, str, int], list[float]] = {}

    def add_test(self, test_key: str, block: int, terms: Sequence[float], positives: int) -> None:
        row = self._tests.setdefault((test_key, block), [0.0] * BETS + [0])
        for place, term in enumerate(terms):
            row[place] += term
        row[BETS] += positives

    def add_rates(self, key: tuple[str, int, str, int], terms: RateSums, flagged: int = 0) -> None:
        """`key`: test key, event block, evaluator hash, bin."""
        row = self._rates.setdefault(key, [0, *RateSums()])
        for place, term in enumerate((flagged, *terms)):
            row[place] += term

    @property
    def test_keys(self) -> set[str]:
        """The tests concerned; they are locked before their sums."""
        return {key[0] for key in self._tests} | {key[0] for key in self._rates}

    def write(self, tx: Transaction) -> set[str]:
        """Adds to the store; the test keys concerned."""
        tx.bulk("add_test_sums", [self._test_row(key) for key in sorted(self._tests)])
        tx.bulk("add_rate_sums", [self._rate_row(key) for key in sorted(self._rates)])
        return self.test_keys

    def _test_row(self, key: tuple[str, int]) -> Row:
        *terms, positives = self._tests[key]
        return {
            "test_key": key[0],
            "block": key[1],
            **dict(zip(_TERMS, terms, strict=True)),
            "positives": int(positives),
        }

    def _rate_row(self, key: tuple[str, int, str, int]) -> Row:
        flagged, *sums = self._rates[key]
        row: dict[str, Any] = dict(zip(RateSums._fields, sums, strict=True))
        for count in ("items", "reviewed", "returned", "positives"):
            row[count] = int(row[count])
        return row | {
            "test_key": key[0],
            "block": key[1],
            "evaluator_hash": key[2],
            "bin": key[3],
            "flagged": int(flagged),
        }


def lock_keys(tx: Transaction, test_keys: Iterable[str]) -> dict[str, TestKey]:
    """Locks keys until the end of the transaction."""
    return _lock(tx, test_keys, step=0, now=0)


def hold(tx: Transaction, what: Literal["episodes", "incidents"], indicator: str, intent: str, deployment: str) -> None:
    """Nobody else looks up or opens one of these until the end of the transaction: two that did at once would give two
    episodes one number and so one key, or one breach two incidents. On SQLite a writing transaction is alone anyway.

    Episodes are held before any key is locked, incidents after it.
    """
    if tx.dialect == "postgresql":
        tx.rows("hold", id=int(short_hash(what, indicator, intent, deployment), 16))


def raise_keys(tx: Transaction, test_keys: Iterable[str], now: Micros) -> dict[str, TestKey]:
    """Locks keys and raises their version: there is new evidence, and it is to be decided upon."""
    return _lock(tx, test_keys, step=1, now=now)


def _lock(tx: Transaction, test_keys: Iterable[str], **values: int) -> dict[str, TestKey]:
    return {
        row["test_key"]: TestKey(**row) for row in tx.rows_in("lock_keys", "test_keys", sorted(test_keys), **values)
    }


def keys(tx: Transaction) -> list[TestKey]:
    return [TestKey(**row) for row in tx.rows("all_keys")]


def test_sums(tx: Transaction, test_key: str) -> tuple[dict[int, list[float]], dict[int, int]]:
    """The eight sums and the confirmed positives by test block."""
    rows = tx.rows("test_sums_of", test_key=test_key)
    return {row["block"]: [row[term] for term in _TERMS] for row in rows}, {r["block"]: r["positives"] for r in rows}


def rate_sums(tx: Transaction, test_key: str, last: int) -> list[tuple[int, str, int, int, RateSums]]:
    """(block, evaluator hash, bin, flagged, sums) up to an event block, by block."""
    return [
        (row["block"], row["evaluator_hash"], row["bin"], row["flagged"], RateSums(*(row[f] for f in RateSums._fields)))
        for row in tx.rows("rate_sums_of", test_key=test_key, last=last)
    ]


def deployments(tx: Transaction, ids: Iterable[str]) -> dict[str, Deployment]:
    return {
        row["deployment"]: Deployment(
            model_version=row["model_version"],
            prompt_version=row["prompt_version"],
            retrieval_index=row["retrieval_index"],
        )
        for row in tx.rows_in("deployments_by_id", "deployments", sorted(set(ids)))
    }
