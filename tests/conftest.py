"""What every test may use: a migrated store on SQLite, and on PostgreSQL where one is given."""

import os
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings

from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store

POSTGRESQL = "TIDEGAUGE_TEST_POSTGRESQL_URL"

# In CI a change is judged by the same examples each time; new ones are looked for wherever else the tests run.
settings.register_profile("ci", derandomize=True)
if os.environ.get("TIDEGAUGE_CI"):
    settings.load_profile("ci")


@pytest.fixture(autouse=True)
def _sampling_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key for all tests: with a fresh one in each run, other requests would be sampled and reviewed each time."""
    monkeypatch.setenv("TIDEGAUGE_SAMPLING_KEY", "a key of the tests")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each reason for which tests did not run."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(r.longrepr[2] if isinstance(r.longrepr, tuple) else str(r.longrepr) for r in skipped)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} tests NOT RUN: {reason.removeprefix('Skipped: ')}", yellow=True)


def postgresql_url() -> str:
    """A schema of its own in the test server; skips loudly where there is no server, fails in CI."""
    base = os.environ.get(POSTGRESQL)
    if not base:
        message = f"{POSTGRESQL} is not set: the PostgreSQL half of this test did not run"
        if os.environ.get("TIDEGAUGE_CI"):
            pytest.fail(message)
        pytest.skip(message)
    return postgresql_schema(base)


def postgresql_schema(base: str) -> str:
    """The URL of a new schema in a server; `drop_schema` takes it away."""
    schema = f"test_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(sa.make_url(base).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    engine.dispose()
    return f"{base}?options=-csearch_path%3D{schema}"


def drop_schema(url: str) -> None:
    base, schema = url.split("?options=-csearch_path%3D")
    engine = sa.create_engine(sa.make_url(base).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    url = postgresql_url()
    yield url
    drop_schema(url)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store(store_url)
    migrate(opened)
    yield opened
    opened.close()
