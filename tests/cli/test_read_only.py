"""A store on a medium that can only be read, such as a backup, can be read."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.logs import NOON, line
from tidegauge.cli import main
from tidegauge.commands.context import SystemClock
from tidegauge.errors import StoreError
from tidegauge.storage.store import Store

NOBODY = 65_534
READING = [
    *(["status"], ["slo", "--json"], ["incidents", "--json"], ["tickets", "--json"], ["metrics"], ["sampling", "show"]),
    *(["dump", "--canonical"], ["review", "export"], ["gold", "list"], ["judge", "report", "--json"], ["stops"]),
]


@contextmanager
def as_nobody() -> Iterator[None]:
    """As a user whom the modes of files bind, as they do not bind root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store that a run has made, in a folder that anybody may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(SystemClock, "now", lambda _: NOON)
        (folder / "a.jsonl").write_bytes(b"\n".join(line(request_id=f"r-{n}") for n in range(40)) + b"\n")
        (folder / "tidegauge.yaml").write_text("sources: [{files: 'a.jsonl'}]\nsampling: {rate: 0.5}\n")
        assert main(["run"]) == 0
        yield folder
        folder.chmod(0o755)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    with as_nobody():
        yield


def test_what_only_reads_says_the_same(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(command: list[str]) -> str:
        capsys.readouterr()
        assert main(command) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    before = {" ".join(command): said(command) for command in READING}
    with read_only(place):
        assert {" ".join(command): said(command) for command in READING} == before
        assert main(["sampling", "set", "0.1"]) == 1
        assert "attempt to write a readonly database" in capsys.readouterr().err
    assert not list(place.glob("*.db-*"))


def test_what_another_one_writes_meanwhile_is_seen(place: Path) -> None:
    url = f"sqlite:///{place / 'tidegauge.db'}"
    with read_only(place):
        reader = Store(url)
        before = reader_count(reader)
    place.chmod(0o755)
    (place / "tidegauge.db").chmod(0o644)
    writer = Store(url)
    with writer.write() as tx:
        tx.run("record_migration", version=9_999, name="later")
    writer.close()
    with read_only(place):
        assert reader_count(reader) == before + 1
    reader.close()


def reader_count(store: Store) -> int:
    with store.read() as tx:
        return len(tx.rows("schema_versions"))


def test_a_log_that_was_not_taken_over_is_not_passed_over(place: Path) -> None:
    file = place / "tidegauge.db"
    file.with_name("tidegauge.db-wal").write_bytes(b"of one that was killed")
    with read_only(place), pytest.raises(StoreError, match="unable to open database file"):
        reader_count(Store(f"sqlite:///{file}"))
