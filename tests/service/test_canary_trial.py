"""A trial's beginning and end stand: evidence is counted from one moment, and for a fixed time."""

from tests.service.world import NEW, NOW, OLD, START, body, ingest, request
from tidegauge.config import CanarySection, MatchSection
from tidegauge.domain import DAY, Deployment, iso
from tidegauge.service import canary, stops
from tidegauge.storage import retention
from tidegauge.storage.sampling import FIVE_MINUTES
from tidegauge.storage.store import Store

SECTION = CanarySection(name="c", canary=MatchSection(cohort="canary"), intent="refunds")


def traffic(store: Store, days: range, deployment: Deployment = NEW, *, failing: bool = False) -> None:
    """Every hour 15 requests of the canary and 15 of its control."""
    hours = range(days.start * 24, days.stop * 24)
    both = [(hour, arm) for hour in hours for arm in (deployment, OLD) for _ in range(15)]
    found = [request(n, hour, arm, cohort="stable" if arm == OLD else "canary") for n, (hour, arm) in enumerate(both)]
    with store.write() as tx:
        ingest(tx, found, sampled=False)
        if failing:
            since = (START + days.start * DAY) // FIVE_MINUTES
            mine = "SELECT segment FROM segments WHERE cohort = 'canary'"
            tx.script(f"UPDATE rollup_5m SET errors = requests WHERE bucket >= {since} AND segment IN ({mine})")


def look(store: Store) -> list[canary.Trial]:
    with store.read() as tx:
        looked = canary.look(tx, [SECTION], NOW)
    with store.write() as tx:
        canary.keep(tx, looked, lambda intent: "dry_run", body, NOW)
    return [trial for _, trial in looked]


def shown(store: Store) -> list[tuple[str, str, int]]:
    with store.read() as tx:
        return [(r["started_at"], r["state"], r["evidence"]["requests"]["canary"]) for r in canary.canary_rows(tx)]


def test_it_is_counted_from_its_first_request_until_its_time_is_up(store: Store) -> None:
    began = iso(START)
    traffic(store, range(13))
    look(store)
    assert shown(store) == [(began, "running", 13 * 24 * 15)]
    traffic(store, range(13, 17))
    look(store)
    assert shown(store) == [(began, "ended", 14 * 24 * 15)]
    traffic(store, range(17, 19), failing=True)
    assert look(store) == []
    assert shown(store) == [(began, "ended", 14 * 24 * 15)]


def test_what_was_worse_within_its_time_is_still_a_breach(store: Store) -> None:
    traffic(store, range(3))
    look(store)
    traffic(store, range(3, 13), failing=True)
    traffic(store, range(13, 16))
    look(store)
    assert [state for _, state, _ in shown(store)] == ["breach"]


def test_one_that_got_no_more_traffic_ends_too_and_its_successor_goes_on(store: Store) -> None:
    other = Deployment(model_version="m-2", prompt_version="p-1", retrieval_index="i-1")
    traffic(store, range(2))
    look(store)
    traffic(store, range(10, 12), other)
    look(store)
    assert [state for _, state, _ in shown(store)] == ["running", "running"]
    traffic(store, range(12, 15), other)
    look(store)
    assert [state for _, state, _ in shown(store)] == ["ended", "running"]


def test_a_stop_that_came_after_the_look_holds(store: Store) -> None:
    traffic(store, range(3), failing=True)
    with store.read() as tx:
        looked = canary.look(tx, [SECTION], NOW)
    assert [trial.state for _, trial in looked] == ["breach"]
    with store.write() as tx:
        stops.stop(tx, "refunds", "ann", "the clock is wrong", None, NOW)
        assert canary.keep(tx, looked, lambda intent: "dry_run", body, NOW) == []
    assert shown(store) == []


def test_one_whose_rollups_are_gone_ends_with_what_was_kept_of_it(store: Store) -> None:
    other = Deployment(model_version="m-2", prompt_version="p-1", retrieval_index="i-1")
    traffic(store, range(2))
    look(store)
    kept = shown(store)
    with store.write() as tx:
        retention.prune_rollups(tx, (START + 3 * DAY) // FIVE_MINUTES)
    traffic(store, range(40, 41), other)
    look(store)
    assert shown(store)[0] == (kept[0][0], "ended", kept[0][2])
