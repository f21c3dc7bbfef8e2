"""Compressed logs and Parquet files: the same dump as the plain file, bounded pieces, and nothing of a damaged one."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import jobs
from pipelines.cutter import READ_BYTES
from pipelines.sources.archives import open_compressed, read_archive
from tests.sources.test_file_planner import Log, lines
from tests.support.ingest import Now
from tests.support.logs import record
from tests.support.replay import digest, dump_of, run_job
from tidegauge.config import Config
from tidegauge.errors import SourceUnfinished
from tidegauge.storage.store import Store

Pack = Callable[[bytes], bytes]


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def parquet(data: bytes, row_group_size: int = 100) -> bytes:
    """The rows of a log; nested values as structs."""
    sink = io.BytesIO()
    table = pa.Table.from_pylist([json.loads(one) for one in data.splitlines()])
    pq.write_table(table, sink, row_group_size=row_group_size)
    return sink.getvalue()


@pytest.fixture
def log(store: Store, tmp_path: Path) -> Log:
    return Log(store, tmp_path / "logs")


def compact(count: int) -> bytes:
    """A log as a Parquet file is read: no blanks, keys in one order, no nulls."""
    rows = (record(request_id=f"r-{n}", response=f"Within {n} days.") for n in range(count))
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def as_text(data: bytes) -> bytes:
    """Rows whose nested values are JSON text, times are Arrow's, and some columns have nulls."""
    rows = [json.loads(one) for one in data.splitlines()]
    table = pa.Table.from_pylist(
        [row | {"contexts": json.dumps(row["contexts"], separators=(",", ":"))} for row in rows]
    )
    table = table.append_column("experiment", pa.nulls(len(rows), pa.string()))
    at = table.schema.get_field_index("timestamp")
    times = pa.array([row["timestamp"] for row in rows]).cast(pa.timestamp("us", "UTC"))
    sink = io.BytesIO()
    pq.write_table(table.set_column(at, "timestamp", times), sink)
    return sink.getvalue()


def read_table(table: pa.Table) -> list[dict[str, Any]]:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    sink.seek(0)
    text = b"".join(read_archive(sink, "a.parquet", 0, len(sink.getvalue())))
    return [json.loads(line) for line in text.splitlines()]


def test_nanoseconds_are_cut_down_to_microseconds_wherever_they_stand() -> None:
    moment = 1_767_225_600_123_456_789
    ns, zoned = pa.timestamp("ns"), pa.timestamp("ns", "UTC")
    columns = {
        "timestamp": pa.array([moment, None], zoned),
        "steps": pa.array([[{"at": moment}], None], pa.list_(pa.struct([("at", ns)]))),
        "took": pa.array([1_001, 2_000], pa.duration("ns")),
        "daily": pa.array([1_001, 2_000], pa.time64("ns")),
        "name": pa.array(["a", "b"]).dictionary_encode(),
    }
    first, second = read_table(pa.table(columns))
    assert first["timestamp"] == "2026-01-01T00:00:00.123456Z"
    assert first["steps"] == [{"at": first["timestamp"]}]
    assert (first["took"], first["daily"], first["name"]) == ("PT0.000001S", "00:00:00.000001", "a")
    assert "timestamp" not in second


def test_a_value_that_python_has_no_word_for_is_the_file_s_error() -> None:
    with pytest.raises(SourceUnfinished, match=r"a\.parquet: "):
        read_table(pa.table({"timestamp": pa.array([2**53], pa.timestamp("ms"))}))


def test_one_such_file_keeps_no_other_one_waiting(log: Log) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"timestamp": pa.array([2**53], pa.timestamp("ms"))}), sink)
    (log.folder / "a.jsonl.parquet").write_bytes(sink.getvalue())
    (log.folder / "b.jsonl.parquet").write_bytes(parquet(lines(0, 200)))
    (reason,) = log.look()
    assert "a.jsonl.parquet" in reason
    assert log.counts == (200, 0)


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".jsonl.zst", zstd), (".jsonl.gz", gzip.compress), (".parquet", parquet), (".parquet", as_text)],
    ids=["zst", "gz", "parquet", "parquet-text"],
)
def test_the_dump_is_that_of_the_plain_file(suffix: str, pack: Pack, tmp_path: Path) -> None:
    data = compact(700)
    found = []
    for name, content in (("a.jsonl", data), (f"b{suffix}", pack(data))):
        (tmp_path / name).write_bytes(content)
        url = f"sqlite:///{tmp_path}/{name}.db"
        run_job(url, str(tmp_path / name))
        found.append(digest(dump_of(url)))
    assert found[0] == found[1]
    assert int(found[0].split()[0]) > 100


@given(st.lists(st.binary(max_size=4000), max_size=5), st.data())
@settings(deadline=None)
def test_several_streams_of_any_content_come_out_as_they_went_in(parts: list[bytes], data: st.DataObject) -> None:
    pack = data.draw(st.sampled_from([zstd, gzip.compress]))
    packed = b"".join(map(pack, parts))
    name = "a.zst" if pack is zstd else "a.gz"
    assert b"".join(read_archive(io.BytesIO(packed), name, 0, len(packed))) == b"".join(parts)


@pytest.mark.parametrize(("name", "pack"), [("a.zst", zstd), ("a.gz", gzip.compress), ("a.parquet", parquet)])
def test_no_cut_off_file_is_taken_for_a_whole_one(name: str, pack: Pack) -> None:
    packed = pack(lines(0, 40))
    for size in range(1, len(packed), 37):
        with pytest.raises(SourceUnfinished):
            list(read_archive(io.BytesIO(packed[:size]), name, 0, size))


def test_what_is_packed_well_comes_out_in_small_pieces() -> None:
    packed = zstd(b" " * 50_000_000)
    sizes = [len(piece) for piece in read_archive(io.BytesIO(packed), "a.zst", 0, len(packed))]
    assert sum(sizes) == 50_000_000
    assert max(sizes) <= READ_BYTES


def test_a_rotated_log_is_found_again_as_zst_and_goes_on_where_it_was(log: Log) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 20) + b'{"half')
    assert not log.look()
    path.rename(log.folder / "a.jsonl.1")
    (log.folder / "a.jsonl.1").unlink()
    (log.folder / "a.jsonl.1.zst").write_bytes(zstd(lines(0, 12)) + zstd(lines(12, 30)))
    path.write_bytes(lines(30, 40))
    assert not log.look()
    assert not log.look(final=True)
    assert log.counts == (40, 0)


def test_a_zst_file_can_be_read_back_and_forth(tmp_path: Path) -> None:
    data = lines(0, 3000)
    (tmp_path / "a.zst").write_bytes(zstd(data[:100_000]) + zstd(data[100_000:]))
    with open_compressed(str(tmp_path / "a.zst")) as file:
        for place in (0, 200_000, 99_990, 5, len(data) - 3, len(data) + 9):
            file.seek(place)
            assert file.read(20) == data[place : place + 20]


@pytest.mark.parametrize(("name", "pack"), [("a.jsonl.zst", zstd), ("a.jsonl.parquet", parquet)])
def test_a_file_that_is_still_being_written_is_read_when_it_is_whole(name: str, pack: Pack, log: Log) -> None:
    packed = pack(lines(0, 200))
    path = log.folder / name
    path.write_bytes(packed[: len(packed) // 2])
    (reason,) = log.look()
    assert name in reason
    assert log.counts == (0, 0)
    path.write_bytes(packed)
    assert not log.look()
    assert log.counts == (200, 0)


@pytest.mark.parametrize(("name", "pack"), [("a.zst", zstd), ("a.parquet", parquet)])
def test_a_damaged_file_is_lost_with_a_ticket_and_nothing_of_it_counts(
    name: str, pack: Pack, store: Store, tmp_path: Path
) -> None:
    packed = pack(lines(0, 200))
    (tmp_path / name).write_bytes(packed[: len(packed) // 2])
    for _ in range(3):  # and only once, however often it is looked at
        done = jobs.run(Config(), store, Now(), logs=[f"{tmp_path}/{name}"], final=True, progress=jobs.silent)
        assert (done.status["seen"], done.status["blocks"]["lost"]) == (0, 1)
    with store.read() as tx:
        assert [row["kind"] for row in tx.rows("open_tickets")] == ["source_lost"]
