"""What two processes do to one new file of SQLite."""

import sqlite3
import threading
from pathlib import Path

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
