"""Fuzzed lines: no crash, every line counted, every quarantined one with a reason."""

import random
from pathlib import Path

import pytest

from pipelines.records import Reason
from tests.support.logs import line
from tests.support.replay import run_job
from tidegauge.storage.status import status
from tidegauge.storage.store import Store

ALPHABET = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\0",
    b"\xff",
    b"-1",
    b"1e999",
    b"null",
]


def fuzzed(rng: random.Random, number: int) -> bytes:
    entry = bytearray(line(request_id=f"r-{number}"))
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(entry))
        kind = rng.randrange(4)
        if kind == 0:
            entry[at] = rng.randrange(256)
        elif kind == 1:
            entry[at:at] = rng.choice(ALPHABET)
        elif kind == 2:
            del entry[at : at + rng.randrange(1, 30)]
        else:
            entry = entry[: max(1, at)]
            break
    return bytes(entry).replace(b"\n", b" ")


def check(tmp_path: Path, count: int) -> None:
    rng = random.Random(5)
    lines = [fuzzed(rng, n) for n in range(count)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    url = f"sqlite:///{tmp_path}/store.db"
    run_job(url, f"{tmp_path}/*.jsonl", 4 << 20)
    store = Store(url)
    with store.read() as tx:
        found = status(tx, 0)
        reasons = tx.rows("status_quarantine")
    store.close()
    assert found["seen"] == sum(1 for entry in lines if entry.strip())
    assert found["seen"] == found["quarantined"] + found["unsampled"] + found["sampled"] + found["repeats"]
    assert found["quarantined"] == sum(int(row["records"]) for row in reasons)
    assert {row["reason"] for row in reasons} <= set(Reason)
    assert found["quarantined"] > count / 10


def test_some_fuzzed_lines(tmp_path: Path) -> None:
    check(tmp_path, 5_000)


@pytest.mark.faults
def test_two_hundred_thousand_fuzzed_lines(tmp_path: Path) -> None:
    check(tmp_path, 200_000)
