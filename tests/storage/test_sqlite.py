"""What is of SQLite alone: a new file that two processes begin, and a store that is no file."""

import sqlite3
import threading
from pathlib import Path

import pytest

from tidegauge.errors import StoreError
from tidegauge.storage.store import Store


def test_a_store_that_another_one_begins_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # what a second process holds between its own first statement and its log
    release = threading.Timer(0.2, other.rollback)
    release.start()
    store = Store(f"sqlite:///{file}")
    with store.write():
        pass
    store.close()
    release.join()
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_store_in_memory_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="seen by one connection alone"):
        Store(url)
