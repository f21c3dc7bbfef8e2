"""A store that an earlier version wrote is still opened, read, and worked on.

The fixture is the SQL text of a SQLite store after two small runs; `python -m tests.storage.test_fixture` writes it
anew, which is right only when a released version is to be remembered under another name.
"""

import gzip
import sqlite3
import tempfile
from pathlib import Path

from tests.support import replay
from tests.support.replay import compose, conserved, dump_of, run_job
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store

FIXTURE = Path(__file__).parents[1] / "fixtures" / "store-0001.sql.gz"
REQUESTS = 400


def test_a_store_of_the_first_version_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(gzip.decompress(FIXTURE.read_bytes()).decode())
    connection.close()
    url = f"sqlite:///{path}"
    store = Store(url)
    migrate(store)
    store.close()
    lines = compose(REQUESTS)
    conserved(url, lines)
    before = dump_of(url).splitlines()
    more = compose(REQUESTS, seed=2)
    (tmp_path / "more.jsonl").write_bytes(b"\n".join(more) + b"\n")
    run_job(url, f"{tmp_path}/*.jsonl")
    conserved(url, lines + more)
    samples = {line for line in before if b'"table":"samples"' in line}
    assert samples
    assert samples <= set(dump_of(url).splitlines())


def write() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        replay.whole(folder, compose(REQUESTS))
        run_job(f"sqlite:///{folder}/store.db", f"{folder}/*.jsonl")
        with sqlite3.connect(folder / "store.db") as connection:
            text = "\n".join(connection.iterdump())
        FIXTURE.parent.mkdir(exist_ok=True)
        FIXTURE.write_bytes(gzip.compress(text.replace(name, "logs").encode(), mtime=0))


if __name__ == "__main__":
    write()
