"""What two workers do at the same time on PostgreSQL, each having read what the other one changes."""

from functools import partial
from typing import Any

import pytest

from tests.alerts.world import at, before, breach, traffic
from tests.service.world import OLD, table
from tests.support.meeting import lock_tables, meet
from tidegauge.alerts.event import rollback_body
from tidegauge.config import RollbackSection
from tidegauge.service import rollbacks
from tidegauge.storage.store import Store

pytestmark = pytest.mark.postgresql


def check(store: Store, terms: RollbackSection, now: int) -> None:
    with store.write() as tx:
        rollbacks.check(tx, terms, now)


def what(store: Store) -> list[str]:
    return [row["what"] for row in table(store, "incident_events")]


@pytest.mark.parametrize(("hours", "end"), [(2.0, ["undelivered"]), (5.0, ["verified", "restored_rate"])])
def test_two_that_see_the_same_of_a_rollback_say_it_once(pg: Store, hours: float, end: list[str]) -> None:
    before(pg)
    breach(pg)
    terms = RollbackSection(mode="auto")
    with pg.write() as tx:
        rollbacks.release(tx, terms, rollback_body, at(13))
    if "verified" in end:
        traffic(pg, 14, OLD, n=200)
    look = partial(check, terms=terms, now=at(13 + hours))
    assert meet(pg, lock_tables("incidents"), look, look) == []
    assert what(pg) == ["breach", "approved", "sent", *end]


def test_two_that_give_an_approval_up_do_it_once(pg: Store) -> None:
    breach(pg, mode="approve")
    look = partial(check, terms=RollbackSection(mode="approve"), now=at(13 + 25))
    assert meet(pg, lock_tables("incidents"), look, look) == []
    assert what(pg) == ["breach", "failed"]
    assert [row["kind"] for row in table(pg, "tickets")] == ["rollback_failed"]


def test_what_a_person_ends_meanwhile_is_not_sent(pg: Store) -> None:
    incident: Any = breach(pg)

    def give_up(tx: Any) -> None:
        row = next(row for row in tx.rows("incidents_in_stages", stages=["proposed"]))
        rollbacks.fail(tx, row, "not approved", at(14))

    def release(store: Store) -> None:
        with store.write() as tx:
            rollbacks.release(tx, RollbackSection(mode="auto"), rollback_body, at(14))

    assert meet(pg, give_up, release) == []
    assert [(row["incident"], row["stage"]) for row in table(pg, "incidents")] == [(incident, "failed")]
