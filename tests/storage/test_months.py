"""Months of rollups are partitions of PostgreSQL: made ahead of their rows, and dropped as a whole."""

import pytest

from tidegauge.service import retention
from tidegauge.storage import months
from tidegauge.storage.months import Month
from tidegauge.storage.sampling import FIVE_MINUTES
from tidegauge.storage.store import Store

pytestmark = pytest.mark.postgresql

ALL = 2**62
_COUNTS = ("requests", "errors", "timeouts", "feedback_up", "feedback_neutral", "feedback_down", "input_tokens")
_COUNTS += ("output_tokens", "cost_nano_usd", "cost_unknown")


def test_a_month_goes_as_a_whole(pg: Store) -> None:
    december = Month(2025, 12)
    now = (december.next.first - 1) * FIVE_MINUTES
    retention.make_months(pg, now)
    retention.make_months(pg, now)
    with pg.write() as tx:
        assert months.known(tx) == [december, Month(2026, 1), Month(2026, 2)]
        for month in (december, december.next):
            row = dict.fromkeys(_COUNTS, 1) | {"bucket": month.first, "segment": 7}
            tx.run("add_five_minutes", **row, latency=b"", retrieval_latency=b"")
    assert retention.prune_rollups(pg, (december.next.first - 1) * FIVE_MINUTES) == 1  # row by row
    assert retention.prune_rollups(pg, december.next.first * FIVE_MINUTES) == 0
    with pg.read() as tx:
        assert months.known(tx) == [Month(2026, 1), Month(2026, 2)]
        assert [row["bucket"] for row in tx.rows("five_minutes_between", first=0, last=ALL)] == [december.next.first]


def test_a_month_that_has_rows_elsewhere_is_not_made(pg: Store) -> None:
    march = Month(2026, 3)
    with pg.write() as tx:
        row = dict.fromkeys(_COUNTS, 1) | {"bucket": march.first, "segment": 7}
        tx.run("add_five_minutes", **row, latency=b"", retrieval_latency=b"")
    retention.make_months(pg, march.first * FIVE_MINUTES)
    with pg.read() as tx:
        assert months.known(tx) == [Month(2026, 4), Month(2026, 5)]
