"""A list as one parameter: what is in it, what is not, and the empty one."""

from pathlib import Path

from tests.support.ingest import Now, ingest
from tests.support.logs import line
from tidegauge.storage import ledger
from tidegauge.storage.store import Store

IDS = ["plain", "it's", 'a "b"', "back\\slash", "{1,2}", "[1]", "NULL", "a,b", "%s", ":x", "\u2028é\U0001f600"]


def test_whatever_a_name_looks_like_it_is_found_by_it_alone(store: Store, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"".join(line(request_id=name) + b"\n" for name in IDS))
    assert not list(ingest(store, f"{tmp_path}/log.jsonl", Now()))
    with store.read() as tx:
        for name in IDS:
            assert [row["request_id"] for row in tx.rows_in("samples_to_freeze", "ids", [name])] == [name]
        assert {row["request_id"] for row in tx.rows_in("samples_to_freeze", "ids", [*IDS, "other"])} == set(IDS)
        assert tx.rows("samples_to_freeze", ids=[]) == []
        assert tx.rows("samples_to_freeze", ids=("plain",)) == tx.rows("samples_to_freeze", ids={"plain"})
        segments = [row["segment"] for row in tx.rows("segments_with_deployment")]
        assert segments
        found = tx.rows("first_buckets", segments=segments, since=0)
        assert sorted(row["segment"] for row in found) == sorted(segments)


def test_nobody_is_not_among_nobody(store: Store, tmp_path: Path) -> None:
    clock = Now()
    (tmp_path / "log.jsonl").write_bytes(line() + b"\n")
    assert not list(ingest(store, f"{tmp_path}/log.jsonl", clock))
    with store.read() as tx:
        assert ledger.count_free_samples(tx, "s", [], clock.now(), most=9) == 1
        assert ledger.count_free_samples(tx, "s", ["me"], clock.now(), most=9) == 0
        assert ledger.count_free_samples(tx, "s", ["you", "he"], clock.now(), most=9) == 1
