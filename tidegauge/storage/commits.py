"""Commits the result of a scanned block: all of it in one transaction, once."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from tidegauge.domain import TESTED_TIERS, Block, Deployment, Micros, Sample, test_block
from tidegauge.storage import sampling
from tidegauge.storage.histogram import merge
from tidegauge.storage.ledger import Claim
from tidegauge.storage.store import Row, Transaction

_FREE = {"owner": None, "sweep": "", "free_at": 0}

_encode = msgspec.json.Encoder(order="sorted").encode


class Quarantined(NamedTuple):
    """A line that does not fit the contract; `start` counts from the block's begin."""

    start: int
    length: int
    reason: str
    detail: str
    sha256: str
    raw: bytes


class RollupRows(NamedTuple):
    """One block's additions to the rollups, in the order of their keys; rows are as the statements take them."""

    five_minutes: list[tuple[Any, ...]]
    days: list[tuple[Any, ...]]
    cells: list[tuple[Any, ...]]
    """intent, deployment, 6-hour block, requests, first_at, last_at"""
    segments: dict[int, tuple[str, ...]]
    accounts: dict[int, tuple[str, ...]]
    deployments: dict[str, Deployment]
    plans: dict[tuple[str, int], int]
    """valid requests by intent and plan row in force"""


class BlockResult(NamedTuple):
    """What a block's bytes say. A function of the bytes, the plan rows and the code alone."""

    records: int
    blanks: int
    quarantined: list[Quarantined]
    samples: list[Sample]
    rollup: RollupRows
    newest_plan: int
    last_event: Micros | None


class Commit(StrEnum):
    WON = "won"
    LOST = "lost"  # somebody else committed this block: nothing was written
    STALE = "stale"  # a plan row was added that the scan did not know: scan again


def commit_block(
    tx: Transaction,
    block: Block,
    result: BlockResult,
    claim: Claim | None,
    now: Micros,
    known: frozenset[int] | set[int] = frozenset(),
) -> tuple[Commit, set[str]]:
    """Writes a block's results if the block is still planned; the ids of samples that are new to the store.

    Fresh samples are born in the hands of `claim`, or free. `known` are segments and accounts that the store
    has already; what it has not is written.
    """
    sampling.lock(tx, shared=True)
    if result.last_event is not None and tx.value(
        "plans_that_would_change", plan=result.newest_plan, time=result.last_event
    ):
        return Commit.STALE, set()
    held = {"records": result.records, "blanks": result.blanks, "quarantined": len(result.quarantined)}
    place = {"generation": block.generation, "start": block.start, "stop": block.stop}
    if not tx.rows("finish_block", **place, **held, done_at=now):
        return Commit.LOST, set()
    _add_quarantine(tx, block, result.quarantined)
    _add_names(tx, result.rollup, known)
    _add_five_minutes(tx, result.rollup.five_minutes)
    tx.bulk("add_day", result.rollup.days)
    counts = _Counts(result.rollup)
    fresh = _add_samples(tx, block, result.samples, claim, counts, now)
    counts.write(tx)
    tx.run("add_read_total", source=block.source, **held)  # last: all commits of a source meet in this row
    return Commit.WON, set(fresh)


class _Counts:
    """What changes in cells and tallies, gathered first: rows are locked once, in the order of their keys."""

    def __init__(self, rollup: RollupRows) -> None:
        self._cells = {row[:3]: [*row[3:], 0] for row in rollup.cells}
        self._tallies = {key: [count, 0, 0] for key, count in rollup.plans.items()}

    def sampled(self, sample: Sample) -> None:
        """A request that was new."""
        self._tally(sample.request.intent, sample.plan, -1, 1, 0)
        self._cell(sample.request.served_by, _cell(sample), sample.request.timestamp, 1)

    def repeated(self, sample: Sample) -> None:
        self._tally(sample.request.intent, sample.plan, -1, 0, 1)

    def replaced(self, kept: Row, copy: Sample) -> None:
        """A kept sample gives way to another copy of its request, which may count elsewhere."""
        self._tally(kept["intent"], kept["plan"], 0, -1, 1)
        self._tally(copy.request.intent, copy.plan, 0, 1, -1)
        cell = (kept["intent"], kept["deployment"], test_block(kept["timestamp"]))
        self._cell(kept["served_by"], cell, kept["timestamp"], -1)
        self._cell(copy.request.served_by, _cell(copy), copy.request.timestamp, 1)

    def _tally(self, intent: str, plan: int, *changes: int) -> None:
        counts = self._tallies.setdefault((intent, plan), [0, 0, 0])
        for place, change in enumerate(changes):
            counts[place] += change

    def _cell(self, served_by: str, cell: tuple[str, str, int], at: Micros, sampled: int) -> None:
        if served_by in TESTED_TIERS:
            self._cells.setdefault(cell, [0, at, at, 0])[3] += sampled

    def write(self, tx: Transaction) -> None:
        tx.bulk("add_cell", [_cell_row(key, self._cells[key]) for key in sorted(self._cells)])
        tx.bulk("add_tally", [_tally(key, *self._tallies[key]) for key in sorted(self._tallies)])


def _cell(sample: Sample) -> tuple[str, str, int]:
    return sample.request.intent, sample.request.deployment.id, test_block(sample.request.timestamp)


def _cell_row(key: tuple[Any, ...], values: Sequence[int]) -> Row:
    intent, deployment, block = key
    requests, first, last, sampled = values
    return {
        "intent": intent,
        "deployment": deployment,
        "block": block,
        "requests": requests,
        "sampled": sampled,
        "first_at": first,
        "last_at": last,
    }


def _add_quarantine(tx: Transaction, block: Block, lines: Sequence[Quarantined]) -> None:
    place = {"generation": block.generation, "block_start": block.start, "source": block.source}
    tx.bulk("insert_quarantine", [{**line._asdict(), **place} for line in lines])
    counts: dict[str, int] = {}
    for line in lines:
        counts[line.reason] = counts.get(line.reason, 0) + 1
    tx.many(
        "add_quarantine_count",
        [{"source": block.source, "reason": reason, "records": n} for reason, n in sorted(counts.items())],
    )


def _add_names(tx: Transaction, rollup: RollupRows, known: frozenset[int] | set[int]) -> None:
    tx.bulk(
        "insert_deployment",
        [
            {
                "deployment": name,
                "model_version": d.model_version,
                "prompt_version": d.prompt_version,
                "retrieval_index": d.retrieval_index,
            }
            for name, d in sorted(rollup.deployments.items())
        ],
    )
    for query, rows in (("insert_segment", rollup.segments), ("insert_account", rollup.accounts)):
        tx.bulk(query, [(key, *rows[key]) for key in sorted(rows.keys() - known)])


_APART = 12  # buckets of five minutes: an hour


def _add_five_minutes(tx: Transaction, rows: Sequence[tuple[Any, ...]]) -> None:
    """Counts are added by the database; histograms, which it cannot add, are merged here under the rows' locks."""
    if not rows:
        return
    if tx.dialect == "postgresql":
        # The rows must be locked before they are read, or two commits would each add to what the other has not seen.
        tx.bulk("touch_five_minutes", [{"bucket": row[0], "segment": row[1]} for row in rows])
    kept = {
        (row["bucket"], row["segment"]): row
        for first, last in _stretches(sorted({row[0] for row in rows}))
        for row in tx.rows("five_minutes_between", first=first, last=last)
    }
    again = [(place, kept[row[:2]]) for place, row in enumerate(rows) if row[:2] in kept]
    merged = [
        merge([(bytes(old[name]), rows[place][column]) for place, old in again])
        for column, name in ((-2, "latency"), (-1, "retrieval_latency"))
    ]
    written = list(rows)
    for (place, _), *histograms in zip(again, *merged, strict=True):
        written[place] = (*rows[place][:-2], *histograms)
    tx.bulk("add_five_minutes", written)


def _stretches(buckets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of buckets that lie together: one stray time must not make a commit read all that lies between."""
    first = last = buckets[0]
    for bucket in buckets:
        if bucket - last > _APART:
            yield first, last
            first = bucket
        last = bucket
    yield first, last


def _tally(key: tuple[str, int], unsampled: int, sampled: int, repeats: int) -> Row:
    return {"intent": key[0], "plan": key[1], "unsampled": unsampled, "sampled": sampled, "repeats": repeats}


def _order(sample: Sample) -> tuple[Micros, str]:
    """Of differing copies of a request the least one stands."""
    return sample.request.timestamp, sample.sha256


def _add_samples(
    tx: Transaction, block: Block, samples: Sequence[Sample], claim: Claim | None, counts: _Counts, now: Micros
) -> dict[str, Sample]:
    """Samples that were new; the others are counted as repeats."""
    standing: dict[str, Sample] = {}
    for sample in samples:
        name = sample.request.request_id
        rival = standing.get(name)
        if rival is None:
            standing[name] = sample
            continue
        standing[name], repeat = sorted((rival, sample), key=_order)
        counts.repeated(repeat)
    names = sorted(standing)
    held = {"owner": claim.owner, "sweep": claim.sweep, "free_at": claim.until} if claim else _FREE
    rows = [sample_row(standing[name], block, now) | held for name in names]
    tx.bulk("insert_sample", rows)
    mine = {
        row["request_id"]
        for row in tx.rows_in("samples_of_block", "ids", names, generation=block.generation, start=block.start)
    }
    others = [name for name in names if name not in mine]
    for row in sorted(tx.rows_in("standing_samples", "ids", others), key=lambda row: str(row["request_id"])):
        sample = standing[row["request_id"]]
        counts.repeated(sample)
        if row["sha256"] != sample.sha256:
            _settle_copies(tx, row, sample, block, counts, now)
    fresh = {name: standing[name] for name in names if name in mine}
    for sample in fresh.values():
        counts.sampled(sample)
    return fresh


def _settle_copies(tx: Transaction, kept: Row, copy: Sample, block: Block, counts: _Counts, now: Micros) -> None:
    """A differing copy of a kept sample, which is locked: the lesser one stands until a verdict, then it is flagged."""
    if kept["state"] != "pending":
        tx.run("flag_conflicting", request_id=kept["request_id"])
    elif _order(copy) < (kept["timestamp"], kept["sha256"]) and tx.run(
        "replace_sample", **sample_row(copy, block, now)
    ):
        counts.replaced(kept, copy)


def sample_row(sample: Sample, block: Block, now: Micros) -> dict[str, Any]:
    request = sample.request
    return {
        "request_id": request.request_id,
        "sha256": sample.sha256,
        "timestamp": request.timestamp,
        "intent": request.intent,
        "deployment": request.deployment.id,
        "served_by": request.served_by,
        "tenant": request.tenant or "",
        "feature": request.feature or "",
        "cohort": request.cohort or "",
        "experiment": request.experiment or "",
        "provider": request.provider or "",
        "pi1": sample.pi1,
        "plan": sample.plan,
        "payload": _encode(redact(sample).request),
        "generation": block.generation,
        "block_start": block.start,
        "ingested_at": now,
    }


def redact(sample: Sample) -> Sample:
    """The place where personal data leaves a sample before it is stored; nothing is removed yet."""
    return sample
