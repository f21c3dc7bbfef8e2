"""What a rollback goes back to, whatever stray requests and retention do to the traffic of long ago."""

from tests.service.sums import month
from tests.service.world import OLD, decide_all, ingest, judge, label, request
from tidegauge.domain import HOUR, Deployment, Incident
from tidegauge.storage.store import Store

LATER = Deployment(model_version="m-2", prompt_version="p-1", retrieval_index="i-1")


def breach(store: Store, first: float) -> Incident:
    """NEW takes all traffic over, and is bad."""
    bad = month(60, first=first, every=0.1)
    judge(store, bad)
    label(store, bad[:20], True)
    (incident,) = [d.incident for d in decide_all(store) if d.incident]
    return incident


def test_a_stray_request_of_the_bad_one_hides_no_good_one(store: Store) -> None:
    with store.write() as tx:
        ingest(tx, [request(900, -40 * 24), *month(60, LATER, start=700, first=-40 * 24 + 1, every=0.1)])
    judge(store, month(40, OLD, start=500, first=0, every=0.5))
    assert breach(store, 21).last_good == OLD


def test_nor_does_one_that_had_a_quiet_hour_for_itself(store: Store) -> None:
    with store.write() as tx:
        ingest(tx, [request(900, -26), *month(30, OLD, start=700, first=-25, every=0.2)])
    judge(store, month(40, OLD, start=500, first=0, every=0.5))
    assert breach(store, 21).last_good == OLD


def test_what_came_after_the_bad_one_is_not_earlier_by_a_stray_request(store: Store) -> None:
    judge(store, month(40, OLD, start=500, first=0, every=0.5))
    with store.write() as tx:
        ingest(tx, [request(900, -2, LATER), *month(60, LATER, start=700, first=25, every=0.1)])
    assert breach(store, 21).last_good == OLD


def test_one_whose_rollups_are_gone_is_still_found(store: Store) -> None:
    judge(store, month(40, OLD, start=500, first=0, every=0.5))
    bad = month(60, first=21, every=0.1)
    judge(store, bad)
    with store.write() as tx:
        kept = bad[30].timestamp // (HOUR // 12)
        tx.script(f"DELETE FROM rollup_5m WHERE bucket < {kept}")
    label(store, bad[:20], True)
    (incident,) = [d.incident for d in decide_all(store) if d.incident]
    assert incident.last_good == OLD
