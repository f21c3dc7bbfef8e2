"""One file under several names: links, and globs that overlap. It counts once."""

from pathlib import Path

import pytest

from pipelines.sources.file_planner import FilePlanner
from pipelines.sources.file_source import FileSource
from pipelines.sources.source import Planning
from tests.sources.test_file_planner import Log, lines
from tests.support.ingest import ingest
from tidegauge.cli import main
from tidegauge.storage import ledger
from tidegauge.storage.store import Store


@pytest.fixture
def log(store: Store, tmp_path: Path) -> Log:
    return Log(store, tmp_path / "logs")


def test_a_file_that_two_sources_of_a_job_name_is_read_by_the_first(
    log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (log.folder / "a.jsonl").write_bytes(lines(0, 10))
    log.look()
    first, second = f"{log.folder}/*.jsonl*", f"{log.folder}/a.*"
    FilePlanner(log.store, log.clock, Planning(2_000, sources=frozenset({first, second}))).plan(second)
    with log.store.read() as tx:
        assert len(ledger.generations(tx, first)) == 1
        assert not ledger.generations(tx, second)
    assert not FileSource(second).behind(log.store)
    (tmp_path / "tidegauge.yaml").write_text("{}")
    assert main(["--config", str(tmp_path / "tidegauge.yaml"), "--store", log.store.url, "status"]) == 0
    assert f"read once: {log.folder / 'a.jsonl'}, which two sources name" in capsys.readouterr().out
    assert not list(ingest(log.store, second, log.clock)), "alone it goes on where the other was"
    assert log.counts == (10, 0)


@pytest.mark.parametrize("late", [False, True])
def test_a_file_counts_once_however_many_links_lead_to_it(log: Log, late: bool) -> None:
    """As of a folder with a link to the newest of its logs."""
    current = log.folder / "a-current.jsonl"
    for day in range(3):
        path = log.folder / f"b-{day}.jsonl"
        path.write_bytes(lines(10 * day, 10 * day + 5))
        if late:
            log.look()
        current.unlink(missing_ok=True)
        current.symlink_to(path)
        log.look()
        with path.open("ab") as file:
            file.write(lines(10 * day + 5, 10 * day + 10))
        log.look()
    assert log.counts == (30, 0)
    assert log.status["seen"] == 30
    assert not FileSource(f"{log.folder}/*.jsonl*").behind(log.store)


def test_a_log_that_leaves_a_link_behind_is_not_begun_where_it_went(log: Log) -> None:
    path = log.folder / "a.jsonl"
    path.write_bytes(lines(0, 10))
    log.look()
    path.rename(log.folder / "b.jsonl").write_bytes(lines(0, 20))
    path.symlink_to(log.folder / "b.jsonl")
    log.look()
    assert log.counts == (20, 0)
