"""Growing, rotated, truncated, compressed and lost files: every record once, every loss on record."""

import gzip
import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cutter import READ_BYTES
from pipelines.sampling import Sampler
from pipelines.scan import Scanner
from pipelines.sources import files
from pipelines.sources.file_planner import PATIENCE, FilePlanner, cut_points
from pipelines.sources.file_source import FileSource
from pipelines.sources.source import Planning
from tests.support.ingest import KEY, Now, begin, claimed, ingest
from tests.support.logs import NOON, line
from tidegauge.errors import SourceError
from tidegauge.prices import Prices
from tidegauge.service import retention
from tidegauge.storage import commits, ledger, sampling
from tidegauge.storage.status import status
from tidegauge.storage.store import Store


def lines(first: int, last: int) -> bytes:
    return b"".join(line(request_id=f"r-{n}") + b"\n" for n in range(first, last))


def plans_of(store: Store) -> list[sampling.Plan]:
    with store.read() as tx:
        return sampling.plans(tx)


class Log:
    """A source of one folder, and what came of it."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.clock = Now()
        folder.mkdir()

    def look(self, final: bool = False, block_bytes: int = 2_000) -> list[str]:
        return list(ingest(self.store, f"{self.folder}/*.jsonl*", self.clock, final=final, block_bytes=block_bytes))

    @property
    def counts(self) -> tuple[int, int]:
        """Samples and repeats."""
        found = self.status
        assert found["seen"] == found["quarantined"] + found["unsampled"] + found["sampled"] + found["repeats"]
        return found["sampled"], found["repeats"]

    @property
    def status(self) -> dict[str, Any]:
        with self.store.read() as tx:
            return status(tx, self.clock.now())


@pytest.fixture
def log(store: Store, tmp_path: Path) -> Log:
    return Log(store, tmp_path / "logs")


def test_a_growing_file_is_read_once(log: Log) -> None:
    data = lines(0, 60)
    path = log.folder / "a.jsonl"
    for end in range(1, len(data) + 700, 701):
        path.write_bytes(data[:end])
        assert not log.look()
    assert log.counts == (60, 0)


def test_an_unfinished_line_waits(log: Log) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 3)[:-1])
    os.utime(path, (NOON / 1e6, NOON / 1e6))
    log.look()
    assert log.counts == (2, 0)
    log.clock.time += PATIENCE
    log.look()
    assert log.counts == (3, 0)


def test_final_takes_the_tail(log: Log) -> None:
    (log.folder / "a.jsonl").write_bytes(lines(0, 3)[:-1])
    log.look(final=True)
    assert log.counts == (3, 0)


def test_rotation_by_renaming(log: Log) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 10))
    log.look()
    with path.open("ab") as file:
        file.write(lines(10, 20))
    path.rename(log.folder / "a.jsonl.1")
    path.write_bytes(lines(20, 30))
    log.look()
    assert log.counts == (30, 0)


def test_rotation_by_copying_and_truncating(log: Log) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 20))
    log.look()
    shutil.copy(path, log.folder / "a.jsonl.1")
    path.write_bytes(lines(20, 23))
    log.look()
    log.look()
    assert log.counts == (23, 0)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_rotation_while_a_look_goes_on_loses_nothing(log: Log, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """With many files a look takes a while; the clock is asked between the two times that it sees a file."""
    pack = gzip.compress if suffix else bytes
    path = log.folder / f"a.jsonl{suffix}"
    path.write_bytes(pack(lines(0, 10)))
    log.look()
    with path.open("ab") as file:
        file.write(pack(lines(10, 12)))

    def rotate() -> int:
        monkeypatch.undo()
        path.rename(log.folder / f"a-1.jsonl{suffix}")
        path.write_bytes(pack(b"".join(line(request_id=f"r-{n}", user_id=f"{n}") + b"\n" for n in range(20, 60))))
        return log.clock.now()

    monkeypatch.setattr(log.clock, "now", rotate)
    log.look()
    assert path.with_name(f"a-1.jsonl{suffix}").exists()
    log.look()
    assert log.counts == (52, 0)
    assert log.status["quarantined"] == 0
    assert log.status["blocks"]["lost"] == 0


def test_rotation_into_a_compressed_file(log: Log) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 20))
    log.look()
    (log.folder / "a.jsonl.1.gz").write_bytes(gzip.compress(lines(0, 25)))
    path.write_bytes(lines(25, 30))
    for _ in range(3):
        log.look()
    assert log.counts == (30, 0)


def test_an_equal_file_under_another_live_path_is_another_generation(log: Log) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (log.folder / name).write_bytes(lines(0, 10))
    log.look()
    assert log.counts == (10, 10)


def test_a_folder_that_moved_and_grew_goes_on_where_it_was(log: Log) -> None:
    for name in ("a", "b"):
        (log.folder / f"{name}.jsonl").write_bytes(lines(0, 10) if name == "a" else lines(10, 20))
    log.look()
    log.folder = log.folder.rename(log.folder.with_name("moved"))
    with (log.folder / "a.jsonl").open("ab") as file:
        file.write(lines(20, 25))
    assert not log.look()
    assert log.counts == (25, 0)
    with log.store.read() as tx:
        assert {g.path for g in ledger.generations(tx, f"{log.folder}/*.jsonl*")} == {
            f"{log.folder}/a.jsonl",
            f"{log.folder}/b.jsonl",
        }


def test_a_folder_that_is_away_for_a_look_is_not_read_again(log: Log) -> None:
    (log.folder / "a.jsonl").write_bytes(lines(0, 10))
    log.look()
    away = log.folder.rename(log.folder.with_name("away"))
    log.look()
    away.rename(log.folder)
    with (log.folder / "a.jsonl").open("ab") as file:
        file.write(lines(10, 15))
    for _ in range(2):
        log.look()
    assert log.counts == (15, 0)


def test_a_file_that_cannot_be_read_now_is_not_taken_for_another(log: Log) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 10))
    log.look()
    aside = path.rename(log.folder.parent / "aside")
    path.mkdir()
    for n in range(60):  # so large that it might be the file
        (path / f"{n:0200}").touch()
    with log.store.read() as tx:
        (known,) = ledger.generations(tx, f"{log.folder}/*.jsonl*")
    with pytest.raises(SourceError, match="Is a directory"):
        files.matches(str(path), "plain", known.identity)
    shutil.rmtree(path)
    aside.rename(path)
    log.look()
    assert log.counts == (10, 0)


def test_bad_lines_of_two_streams_of_one_archive_have_places_of_their_own(log: Log) -> None:
    path = log.folder / "a.jsonl.gz"
    bad = [b"".join(b"not json %d %s\n" % (n, b"x" * (n % 90)) for n in range(m, m + 400)) for m in (0, 400)]
    path.write_bytes(gzip.compress(bad[0]))
    assert not log.look(final=True)
    path.write_bytes(gzip.compress(bad[0]) + gzip.compress(bad[1]))
    assert not log.look(final=True)
    assert (log.status["quarantined"], log.status["seen"]) == (800, 800)
    with log.store.read() as tx:
        rows = tx._connection.exec_driver_sql("SELECT block_start, count(*) FROM quarantine GROUP BY block_start").all()
        blocks = tx._connection.exec_driver_sql("SELECT start, 400 FROM blocks").all()
    assert sorted(map(tuple, rows)) == sorted(map(tuple, blocks))
    assert retention.preview(log.store, log.clock.now() + 1).quarantined == 800


@pytest.mark.parametrize(("alive", "outcome"), [(True, commits.Commit.WON), (False, commits.Commit.LOST)])
def test_an_archive_that_grows_while_somebody_reads_it_loses_nothing(
    log: Log, alive: bool, outcome: commits.Commit
) -> None:
    """Who lives keeps the block as it is; else the block takes the new member, too, and what was read is void."""
    path = log.folder / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines(0, 10)))
    begin(log.store)
    source, clock = FileSource(f"{log.folder}/*.jsonl*"), log.clock
    source.plan(log.store, clock, Planning(2_000))
    if alive:
        with log.store.write() as tx:
            ledger.beat(tx, ledger.Owner("reader", "elsewhere", 1, 0.0), clock.now())
    (work,) = claimed(log.store, clock, "reader")
    with path.open("ab") as file:
        file.write(gzip.compress(lines(10, 20)))
    source.plan(log.store, clock, Planning(2_000))
    with log.store.read() as tx:
        (block,) = ledger.open_blocks(tx, work.block.generation)
    assert (block["stop"] == work.block.stop) == alive
    result = Scanner(Prices(())).scan(source.read(work), clock.now(), Sampler(plans_of(log.store), KEY))
    with log.store.write() as tx:
        assert commits.commit_block(tx, work.block, result, None, clock.now())[0] is outcome
    log.look(final=True)
    assert log.counts == (20, 0)


def test_a_glob_that_is_written_otherwise_reads_nothing_again(log: Log) -> None:
    (log.folder / "a.jsonl").write_bytes(lines(0, 10))
    log.look()
    (log.folder / "b.jsonl").write_bytes(lines(10, 20))
    for _ in range(2):
        assert not list(ingest(log.store, f"{log.folder.parent}/**/*.jsonl", log.clock))
    assert log.counts == (20, 0)


def test_a_path_that_is_written_otherwise_reads_nothing_again(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    (log.folder / "a.jsonl").write_bytes(lines(0, 10))
    monkeypatch.chdir(log.folder.parent)
    log.folder.with_name("link").symlink_to(log.folder)
    for glob in ("logs/*.jsonl", f"{log.folder}/*.jsonl", "link/*.jsonl"):
        assert not list(ingest(log.store, glob, log.clock))
    assert log.counts == (10, 0)


def test_a_copy_is_no_move(log: Log) -> None:
    (log.folder / "a.jsonl").write_bytes(lines(0, 10))
    log.look()
    shutil.copytree(log.folder, log.folder.with_name("copy"))
    assert not list(ingest(log.store, f"{log.folder.parent}/copy/*.jsonl", log.clock))
    assert log.counts == (10, 10)


def test_a_truncated_file_loses_its_open_ranges_and_says_so(log: Log) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 20))
    begin(log.store)
    FilePlanner(log.store, log.clock, Planning(2_000)).plan(f"{log.folder}/*.jsonl*")
    path.write_bytes(lines(50, 52))
    log.look()
    found = log.status
    assert found["blocks"]["lost"] > 0  # type: ignore[index]
    assert log.counts == (2, 0)
    with log.store.read() as tx:
        tickets = tx.rows("list_tickets")
    assert [t["kind"] for t in tickets] == ["source_lost"]


def test_bytes_that_change_under_the_reader_are_not_committed(log: Log) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 20))
    begin(log.store)
    FilePlanner(log.store, log.clock, Planning(1 << 20)).plan(f"{log.folder}/*.jsonl*")
    path.write_bytes(lines(40, 60).replace(b"ten days", b"six days"))
    errors = log.look()
    assert not errors  # the planner saw it first
    assert log.counts == (20, 0)
    blocks = log.status["blocks"]
    assert (blocks["planned"], blocks["lost"]) == (0, 1)  # type: ignore[index]


def test_a_compressed_file_is_one_block(log: Log) -> None:
    (log.folder / "a.jsonl.gz").write_bytes(gzip.compress(lines(0, 10)) + gzip.compress(lines(10, 15)))
    log.look()
    assert log.counts == (15, 0)


def test_a_compressed_file_that_is_still_written_is_planned_anew(log: Log) -> None:
    data = gzip.compress(lines(0, 200))
    path = log.folder / "a.jsonl.gz"
    path.write_bytes(data[: len(data) // 2])
    assert len(log.look()) == 1
    assert log.counts == (0, 0)
    path.write_bytes(data)
    assert not log.look()
    assert log.counts == (200, 0)
    with path.open("ab") as file:
        file.write(gzip.compress(lines(200, 210)))
    assert not log.look()
    assert log.counts == (210, 0)


def test_two_planners_plan_every_byte_once(log: Log) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 10))
    begin(log.store)
    source = f"{log.folder}/*.jsonl*"
    one, other = FilePlanner(log.store, log.clock, Planning(500)), FilePlanner(log.store, log.clock, Planning(700))
    one.plan(source)
    with log.store.read() as tx:
        stale = ledger.generations(tx, source)
    path.write_bytes(lines(0, 20))
    other.plan(source)
    one._extend(stale[0])  # has seen the ledger as it was before
    log.look()
    assert log.counts == (20, 0)


def test_a_dead_owner_loses_its_blocks_a_live_one_keeps_them(log: Log) -> None:
    (log.folder / "a.jsonl").write_bytes(lines(0, 5))
    begin(log.store)
    FilePlanner(log.store, log.clock, Planning(500)).plan(f"{log.folder}/*.jsonl*")
    assert len(claimed(log.store, log.clock, "other")) > 0
    owner = ledger.Owner("other", "elsewhere", 1, 0.0)
    with log.store.write() as tx:
        ledger.beat(tx, owner, log.clock.now())
        claim = ledger.Claim("me", "s", [*ledger.live_owners(tx, log.clock.now()), "me"], log.clock.now())
        assert ledger.claim_blocks(tx, claim, log.clock.now(), 100) == []
    log.clock.time += ledger.DEAD_AFTER + 1
    log.look()
    assert log.counts == (5, 0)


def test_a_process_of_this_host_that_is_gone_is_dead_at_once(log: Log) -> None:
    mine = ledger.Owner.this_process(log.clock.now())
    gone = ledger.Owner("gone", mine.host, mine.pid, mine.pid_started - 1000)
    with log.store.write() as tx:
        for owner in (mine, gone):
            ledger.beat(tx, owner, log.clock.now())
        assert ledger.live_owners(tx, log.clock.now()) == [mine.name]


@given(st.lists(st.integers(0, 60), max_size=40), st.booleans(), st.integers(1, 100), st.booleans(), st.data())
def test_cuts_are_ascending_behind_newlines_and_leave_only_the_tail(
    lengths: list[int], ends: bool, block_bytes: int, take_tail: bool, data: st.DataObject
) -> None:
    log = b"\n".join(b"x" * n for n in lengths) + (b"\n" if ends and lengths else b"")
    starts = [0] + [n + 1 for n, byte in enumerate(log) if byte == ord("\n")]
    start = data.draw(st.sampled_from(starts))
    cuts = cut_points(io.BytesIO(log), start, len(log), block_bytes, take_tail)
    assert cuts == sorted(set(cuts))
    assert all(cut > start and (log[cut - 1 : cut] == b"\n" or cut == len(log)) for cut in cuts)
    end = cuts[-1] if cuts else start
    assert end == (len(log) if take_tail else max(log.rfind(b"\n") + 1, start))


def test_a_plain_file_is_read_in_whole_lines(log: Log) -> None:
    """What would stand in two reads is read again, so that no line has to be put together."""
    data = b"".join(b"%d " % n + b"x" * 3000 + b"\n" for n in range(200)) + b"y" * (2 * READ_BYTES) + b"\n1\n"
    (log.folder / "a.jsonl").write_bytes(data)
    begin(log.store)
    source = FileSource(f"{log.folder}/*.jsonl")
    source.plan(log.store, log.clock, Planning(len(data)))
    reads = list(source.read(claimed(log.store, log.clock, "reader")[0]))
    assert b"".join(reads) == data
    assert [read.endswith(b"\n") for read in reads] == [True, True, True, False, False, True]
