"""PostgreSQL goes down while the job runs, or its answers get lost: the same tables, and nobody has to look."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import replay
from tests.support.postgresql import Proxy, Server, private_server
from tests.support.replay import compose, conserved, dump_of, run_job
from tidegauge.config import StoreSection
from tidegauge.errors import StoreError, StoreUnavailable
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store, retry_conflicts

pytestmark = pytest.mark.postgresql

BLOCK = 30_000
SECRET = "a-password-of-the-test"


@pytest.fixture
def server() -> Iterator[Server]:
    with private_server() as found:
        yield found


def expected(folder: Path, lines: list[bytes]) -> str:
    """The dump without any fault, on SQLite."""
    replay.whole(folder, lines)
    url = f"sqlite:///{folder}/undisturbed.db"
    run_job(url, f"{folder}/*.jsonl", BLOCK)
    return replay.digest(dump_of(url))


def done(url: str) -> int:
    store = Store(url)
    try:
        with store.read() as tx:
            return int(tx.value("records_done") or 0)
    except StoreError:
        return 0
    finally:
        store.close()


def crash_while_it_runs(server: Server, job: "subprocess.Popen[bytes]", crashes: int, until: float) -> int:
    """Restarts each time some more records are done; how often."""
    made = seen = 0
    while job.poll() is None and made < crashes and time.monotonic() < until:
        now = done(server.url)
        if now > seen:
            seen = now
            server.crash()
            server.start()
            made += 1
    return made


def check_crashes(server: Server, tmp_path: Path, requests: int, crashes: int, seconds: float) -> None:
    lines = compose(requests)
    wanted = expected(tmp_path, lines)
    config = tmp_path / "tidegauge.yaml"
    config.write_text(
        f'store: {{url: "{server.url}"}}\nsources: [{{files: "*.jsonl"}}]\nsampling: {{rate: 0.2}}\n'
        f"job: {{block_bytes: {BLOCK}, portion_blocks: 8}}\n"
    )
    command = [sys.executable, "-m", "tidegauge.cli", "run", "--config", str(config)]
    job = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        made = crash_while_it_runs(server, job, crashes, time.monotonic() + seconds)
        said = job.communicate(timeout=seconds)[1].decode()
    finally:
        job.kill()
    assert job.returncode == 0, said
    assert made == crashes, said
    assert replay.digest(dump_of(server.url)) == wanted
    conserved(server.url, lines)


def test_a_server_that_crashes_in_mid_job_costs_a_retry(server: Server, tmp_path: Path) -> None:
    check_crashes(server, tmp_path, 1_200, 2, 60)


@pytest.mark.faults
def test_a_server_that_crashes_ten_times_costs_ten_retries(server: Server, tmp_path: Path) -> None:
    check_crashes(server, tmp_path, 20_000, 10, 300)


def check_lost_commits(server: Server, tmp_path: Path, every: int, arrives: bool) -> None:
    lines = compose(700)
    wanted = expected(tmp_path, lines)
    proxy = Proxy(server.port, every, arrives=arrives)
    try:
        run_job(f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres", f"{tmp_path}/*.jsonl", BLOCK)
    finally:
        proxy.close()
    assert proxy.lost >= 3
    assert replay.digest(dump_of(server.url)) == wanted
    assert conserved(server.url, lines)["pending"] == 0


@pytest.mark.parametrize(("every", "arrives"), [(3, True), (5, False)], ids=["answer lost", "never arrived"])
def test_a_commit_that_is_lost_is_written_once(server: Server, tmp_path: Path, every: int, arrives: bool) -> None:
    check_lost_commits(server, tmp_path, every, arrives)


@pytest.mark.faults
@pytest.mark.parametrize("arrives", [True, False], ids=["answer lost", "never arrived"])
@pytest.mark.parametrize("every", range(3, 14))
def test_it_does_not_matter_which_are_lost(server: Server, tmp_path: Path, every: int, arrives: bool) -> None:
    check_lost_commits(server, tmp_path, every, arrives)


def test_a_backend_that_is_terminated_costs_its_transaction(server: Server) -> None:
    store, attempts = Store(server.url), 0
    migrate(store)

    def write() -> None:
        nonlocal attempts
        attempts += 1
        with store.write() as tx:
            tx.run("insert_meta", name=f"attempt {attempts}", value="")
            if attempts == 1:
                own = tx._connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
                with Store(server.url, role="other").write() as other:
                    other._connection.exec_driver_sql(f"SELECT pg_terminate_backend({own}, 5000)")

    retry_conflicts(write)
    with store.read() as tx:
        assert tx.value("meta_value", name="attempt 1") is None
        assert tx.value("meta_value", name="attempt 2") == ""
    store.close()


def test_a_server_that_stays_away_is_waited_for_no_longer_than_was_said(server: Server) -> None:
    store = Store(server.url, StoreSection(outage_seconds=1.0))
    migrate(store)
    server.crash()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"), store.read():
        pass
    assert 1.0 <= time.monotonic() - began < 10
    store.close()


def test_a_server_that_never_was_there_is_not_waited_for(server: Server) -> None:
    server.crash()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable), Store(server.url).read():
        pass
    assert time.monotonic() - began < 10


def test_a_job_says_in_a_line_that_the_store_stayed_away(server: Server, tmp_path: Path) -> None:
    replay.whole(tmp_path, compose(4_000))
    config = tmp_path / "tidegauge.yaml"
    config.write_text(
        f'store: {{url: "{server.url}", outage_seconds: 1}}\nsources: [{{files: "*.jsonl"}}]\n'
        f"job: {{block_bytes: 5000, portion_blocks: 400}}\n"
    )
    command = [sys.executable, "-m", "tidegauge.cli", "run", "--config", str(config)]
    job = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        while not done(server.url) and job.poll() is None:
            pass
        server.crash()
        said = job.communicate(timeout=60)[1].decode()
    finally:
        job.kill()
    assert job.returncode == 1
    assert said.splitlines()[-1].startswith("tidegauge: store postgresql+psycopg://postgres@127.0.0.1"), said
    assert "[while running" not in said.splitlines()[-1]


def test_a_password_is_in_no_message() -> None:
    with private_server(SECRET) as server:
        right = server.url.replace("postgres@", f"postgres:{SECRET}@", 1)
        store = Store(right)
        migrate(store)
        store.close()
        for url in (right.replace(SECRET, SECRET + "x"), right.replace("/postgres", "/nowhere")):
            with pytest.raises(StoreUnavailable) as caught, Store(url).read():
                pass
            assert SECRET not in str(caught.value)
