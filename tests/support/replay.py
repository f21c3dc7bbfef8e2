"""One log in many shapes, and the job over each: the dump must not tell them apart."""

import gzip
import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines import jobs
from tests.support.ingest import Now
from tests.support.logs import line
from tidegauge.config import Config, JobSection, SamplingSection, StoreSection
from tidegauge.storage.dump import canonical
from tidegauge.storage.migrations import migrate
from tidegauge.storage.status import status
from tidegauge.storage.store import Store, Transaction


def compose(requests: int, seed: int = 1) -> list[bytes]:
    """Lines of a log: several intents and tiers, errors, repeats, blanks and bad lines."""
    rng = random.Random(seed)
    lines: list[bytes] = []
    for n in range(requests):
        second = n * 86_400 // requests
        at = f"2026-10-{1 + n * 5 // requests:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"
        changes: dict[str, Any] = {
            "request_id": f"r-{n}",
            "timestamp": at,
            "intent": f"intent.{n % 3}",
            "prompt_version": f"p-{n * 3 // requests}",
            "tenant": f"tenant-{n % 7}",
            "latency_ms": rng.lognormvariate(6, 1),
            "served_by": rng.choice(["primary", "primary", "cache", "fallback"]),
            "response": rng.choice(["Within ten days.", "After 45 minutes, says Mr Parker.", "I cannot answer that."]),
        }
        if rng.random() < 0.02:
            changes |= {"status": "error", "response": None}
        lines.append(line(**changes))
        if rng.random() < 0.02:
            lines.append(rng.choice([b"", b"{", b"null", b'{"request_id": 7}', b"\xff\xfe", line(intent=3)]))
        if rng.random() < 0.02:
            lines.append(rng.choice(lines[:n] or [b""]))
    return lines


def config_of(url: str, block_bytes: int, rate: float = 0.2) -> Config:
    return Config(
        store=StoreSection(url=url), sampling=SamplingSection(rate=rate), job=JobSection(block_bytes=block_bytes)
    )


def run_job(url: str, source: str, block_bytes: int = 1 << 20, clock: Any = None) -> None:
    store = Store(url)
    try:
        jobs.run(config_of(url, block_bytes), store, clock or Now(), logs=[source], progress=jobs.silent)
    finally:
        store.close()


def dump_of(url: str) -> bytes:
    store = Store(url)
    migrate(store)
    try:
        with store.read() as tx:
            return b"".join(canonical(tx))
    finally:
        store.close()


def conserved(url: str, lines: list[bytes]) -> dict[str, Any]:
    """Status, checked against an independent count of the lines."""
    store = Store(url)
    try:
        with store.read() as tx:
            found = status(tx, Now().now())
            totals_hold(tx)
    finally:
        store.close()
    assert found["seen"] == sum(1 for entry in lines if entry.strip())
    assert found["seen"] == found["quarantined"] + found["unsampled"] + found["sampled"] + found["repeats"]
    assert found["sampled"] == found["judged"] + found["unscored"] + found["pending"]
    valid = [json.loads(entry) for entry in lines if _is_request(entry)]
    assert found["seen"] - found["quarantined"] == len(valid)
    for intent, entry in found["per_intent"].items():
        assert entry["seen"] == sum(1 for row in valid if row["intent"] == intent)
        assert entry["seen"] == entry["unsampled"] + entry["sampled"] + entry["repeats"]
    return found


_ADDED_UP = {
    "records_done": "SELECT sum(records + blanks) FROM blocks",
    "records_read": "SELECT sum(records) FROM blocks",
    "status_read": "SELECT sum(1), sum(records), sum(blanks), sum(quarantined) FROM blocks WHERE state = 'done'",
    "asked_evaluators": """
        SELECT evaluator, count(*), sum(CASE WHEN answered_by = 'cache' THEN 1 ELSE 0 END),
            sum(CASE WHEN score IS NULL THEN 1 ELSE 0 END), sum(calls), sum(input_tokens), sum(output_tokens),
            sum(cost_nano_usd), sum(CASE WHEN calls > 0 AND cost_nano_usd IS NULL THEN 1 ELSE 0 END)
        FROM verdicts WHERE asks = 1 GROUP BY evaluator ORDER BY evaluator""",
    "decisions_by_step": """
        SELECT v.evaluator, o.why, o.spent, count(*)
        FROM outcomes o JOIN verdicts v ON v.request_id = o.request_id AND v.indicator = o.indicator
        WHERE v.decided = 1 AND v.score IS NOT NULL GROUP BY v.evaluator, o.why, o.spent
        ORDER BY v.evaluator, o.why, o.spent""",
}
"""What the running totals say, added up from the rows themselves."""


def totals_hold(tx: Transaction) -> None:
    for query, plainly in _ADDED_UP.items():
        rows = [tuple(row) for row in tx._connection.exec_driver_sql(plainly)]
        assert [tuple(row.values()) for row in tx.rows(query)] == rows, query


def _is_request(entry: bytes) -> bool:
    try:
        row = json.loads(entry)
    except ValueError:
        return False
    return isinstance(row, dict) and isinstance(row.get("intent"), str)


def whole(folder: Path, lines: list[bytes]) -> None:
    (folder / "all.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def split(parts: int, shuffled: bool) -> Callable[[Path, list[bytes]], None]:
    def write(folder: Path, lines: list[bytes]) -> None:
        size = -(-len(lines) // parts)
        names = list(range(parts))
        if shuffled:
            random.Random(2).shuffle(names)
        for place, start in enumerate(range(0, len(lines), size)):
            (folder / f"{names[place]:04d}.jsonl").write_bytes(b"\n".join(lines[start : start + size]) + b"\n")

    return write


def zipped(folder: Path, lines: list[bytes]) -> None:
    (folder / "all.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines) + b"\n", 1))


def digest(dump: bytes) -> str:
    """Short, so that a failing comparison says something in a line."""
    newlines = dump.count(b"\n")
    return f"{newlines} lines {hashlib.sha256(dump).hexdigest()[:16]}"
