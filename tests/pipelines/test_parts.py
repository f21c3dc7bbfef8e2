"""A block of more names than a codebook has room for: the same rows as of any other."""

import gzip
import random
from pathlib import Path

import pytest

from pipelines import rollup, scan
from pipelines.sampling import Sampler
from pipelines.scan import Scanner
from tests.support.ingest import KEY, Now, begin, ingest
from tests.support.logs import NOON, line
from tidegauge.prices import Prices
from tidegauge.storage import sampling
from tidegauge.storage.commits import BlockResult
from tidegauge.storage.store import Store

BEFORE_1970 = "1969-12-31T23:59:00Z"


def scanned(store: Store, pieces: list[bytes]) -> BlockResult:
    begin(store, 0.3)
    with store.read() as tx:
        sampler = Sampler(sampling.plans(tx), KEY)
    return Scanner(Prices(())).scan(pieces, NOON, sampler)


@pytest.mark.parametrize("limit", [0, 40])
def test_parts_add_up_to_the_whole(store: Store, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    rng = random.Random(limit)
    rows = [
        line(
            request_id=f"r-{n}",
            timestamp=f"2026-10-{rng.randrange(1, 4):02}T0{rng.randrange(9)}:00:00Z" if n % 9 else BEFORE_1970,
            tenant=f"t-{rng.randrange(12)}",
            intent=f"i.{rng.randrange(3)}",
            latency_ms=rng.choice([None, 5.0, 80.0, rng.random() * 1000]),
            cost_usd=rng.choice([None, 0.002]),
            status=rng.choice(["ok", "error"]),
        )
        for n in range(400)
    ]
    pieces = [b"\n".join(rows[n : n + 8]) + b"\n" for n in range(0, len(rows), 8)]
    whole = scanned(store, pieces)
    monkeypatch.setattr(scan, "PART_LIMIT", limit)
    assert scanned(store, pieces) == whole
    old = [line(request_id=str(n), timestamp=BEFORE_1970) + b"\n" for n in range(3)]
    assert scanned(store, old).last_event == -60_000_000


def test_no_number_of_a_codebook_runs_into_the_next(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive is one block, however many tenants it tells of; here with room for few."""
    monkeypatch.setattr(rollup, "_WIDTH", 1 << 10)
    monkeypatch.setattr(scan, "PART_LIMIT", 1 << 8)
    rows = b"".join(line(request_id=f"r-{n}", tenant=f"t-{n}") + b"\n" for n in range(3_000))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(rows))
    assert not list(ingest(store, f"{tmp_path}/*.gz", Now(), rate=0.01))
    with store.read() as tx:
        days = [(row["tenant"], row["requests"]) for row in tx.rows("dump_rollup_day")]
    assert sorted(days) == sorted((f"t-{n}", 1) for n in range(3_000))
