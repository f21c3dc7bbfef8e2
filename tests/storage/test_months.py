"""Months of rollups are partitions of PostgreSQL: made ahead of their rows, and dropped as a whole."""

from collections.abc import Iterator

import pytest

from tests.conftest import drop_schema, postgresql_url
from tidegauge.service import retention
from tidegauge.storage import months
from tidegauge.storage.migrations import migrate
from tidegauge.storage.months import BUCKET, Month
from tidegauge.storage.store import Store

pytestmark = pytest.mark.postgresql

ALL = 2**62
_COUNTS = ("requests", "errors", "timeouts", "feedback_up", "feedback_neutral", "feedback_down", "input_tokens")
_COUNTS += ("output_tokens", "cost_nano_usd", "cost_unknown")


@pytest.fixture
def pg() -> Iterator[Store]:
    url = postgresql_url()
    store = Store(url)
    migrate(store)
    yield store
    store.close()
    drop_schema(url)


def test_a_month_goes_as_a_whole(pg: Store) -> None:
    december = Month(2025, 12)
    now = (december.next.first - 1) * BUCKET
    retention.make_months(pg, now)
    retention.make_months(pg, now)
    with pg.write() as tx:
        assert months.known(tx) == [december, Month(2026, 1), Month(2026, 2)]
        for month in (december, december.next):
            row = dict.fromkeys(_COUNTS, 1) | {"bucket": month.first, "segment": 7}
            tx.run("add_five_minutes", **row, latency=b"", retrieval_latency=b"")
    assert retention.prune_rollups(pg, (december.next.first - 1) * BUCKET) == 1  # row by row, the month is not over
    assert retention.prune_rollups(pg, december.next.first * BUCKET) == 0
    with pg.read() as tx:
        assert months.known(tx) == [Month(2026, 1), Month(2026, 2)]
        assert [row["bucket"] for row in tx.rows("five_minutes_between", first=0, last=ALL)] == [december.next.first]


def test_a_month_that_has_rows_elsewhere_is_not_made(pg: Store) -> None:
    march = Month(2026, 3)
    with pg.write() as tx:
        row = dict.fromkeys(_COUNTS, 1) | {"bucket": march.first, "segment": 7}
        tx.run("add_five_minutes", **row, latency=b"", retrieval_latency=b"")
    retention.make_months(pg, march.first * BUCKET)
    with pg.read() as tx:
        assert months.known(tx) == [Month(2026, 4), Month(2026, 5)]
