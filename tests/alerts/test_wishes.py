"""Where evidence is wanted, more is sampled: by a plan row, and only as long as it helps."""

import json

import pytest
from msgspec import structs

from tests.service.sums import month
from tests.service.world import NEW, NOW, OLD, START, ingest, judge, label, request, table
from tests.support.ingest import Now, begin
from tidegauge.alerts.act import act
from tidegauge.config import Config, SamplingSection
from tidegauge.domain import DAY, HOUR, MINUTE
from tidegauge.service import wishes
from tidegauge.storage import evidence, sampling
from tidegauge.storage.sampling import FIVE_MINUTES, Plan
from tidegauge.storage.store import Store

RATE = 0.02
SINCE = START + 10 * HOUR  # of the newest request
ON, OFF = Config(), Config(sampling=SamplingSection(escalate=False))


def wanting(store: Store, count: int = 100) -> None:
    """Ten hours in which the judge flags all, and no label came back."""
    begin(store, RATE)
    judge(store, month(count, every=0.1), bins=[7] * count)


def looked(store: Store, config: Config = ON, now: int = SINCE) -> list[Plan]:
    act(store, config, Now(now))
    with store.read() as tx:
        return sampling.plans(tx)[1:]


def open_tickets(store: Store) -> list[str]:
    return [row["kind"] for row in table(store, "tickets") if row["state"] == "open"]


def test_evidence_wanted_samples_its_deployment_five_times_as_much_and_once(store: Store) -> None:
    wanting(store)
    (plan,) = looked(store)
    assert (plan.intent, plan.deployment, plan.rate) == ("refunds", NEW.id, 5 * RATE)
    newest = max(row["bucket"] for row in table(store, "rollup_5m")) + 1
    assert plan.valid_from == newest * FIVE_MINUTES + 10 * MINUTE
    assert plan.reason.startswith("evidence_wanted, by tidegauge: 100 of 100 flagged, 0 of ")
    assert plan.reason.endswith("before 0.02")
    assert looked(store) == [plan]


def test_a_look_that_is_cut_short_raises_nothing_and_the_next_one_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit

    wanting(store)
    with monkeypatch.context() as patch:
        patch.setattr("tidegauge.alerts.act._escalate", killed)
        with pytest.raises(SystemExit):
            looked(store)
    assert open_tickets(store) == ["evidence_wanted"]
    (plan,) = looked(store)
    assert (plan.intent, plan.deployment, plan.rate) == ("refunds", NEW.id, 5 * RATE)
    assert looked(store) == [plan]


def test_it_goes_back_when_the_labels_are_there(store: Store) -> None:
    wanting(store)
    (plan,) = looked(store)
    label(store, month(100, every=0.1), False)
    raised, back = looked(store)
    assert raised == plan
    assert (back.intent, back.deployment, back.rate) == ("refunds", NEW.id, RATE)
    assert back.valid_from >= plan.valid_from
    assert back.reason == "evidence_wanted no more, by tidegauge: as in plan 1"
    assert looked(store) == [raised, back]


def test_it_goes_back_to_what_people_set_meanwhile(store: Store) -> None:
    wanting(store)
    (plan,) = looked(store)
    with store.write() as tx:
        own = sampling.add_plan(tx, plan.valid_from - MINUTE, 0.5, "refunds", "", "", "sampling set", SINCE)
    label(store, month(100, every=0.1), False)
    assert [p.rate for p in looked(store)] == [5 * RATE, 0.5, 0.5]
    assert own.rate == 0.5


def test_a_rate_that_people_set_later_stays(store: Store) -> None:
    wanting(store)
    (plan,) = looked(store)
    with store.write() as tx:
        sampling.add_plan(tx, plan.valid_from, 0.01, "", "", "", "sampling set", SINCE)
    assert len(looked(store)) == 2
    label(store, month(100, every=0.1), False)
    assert [p.rate for p in looked(store)] == [5 * RATE, 0.01]


def test_more_than_all_is_never_sampled(store: Store) -> None:
    begin(store, 0.3)
    judge(store, month(100, every=0.1), bins=[7] * 100)
    assert [p.rate for p in looked(store)] == [1.0]


def test_where_all_is_sampled_there_is_nothing_to_raise(store: Store) -> None:
    begin(store, 1.0)
    judge(store, month(100, every=0.1), bins=[7] * 100)
    assert looked(store) == []
    assert open_tickets(store) == ["evidence_wanted"]


def test_a_deployment_that_is_gone_takes_its_wish_along(store: Store) -> None:
    wanting(store)
    looked(store)
    assert open_tickets(store) == ["evidence_wanted"]
    with store.write() as tx:
        ingest(tx, [request(900, 36, OLD)])
    assert [p.rate for p in looked(store, now=START + 36 * HOUR)] == [5 * RATE, RATE]
    assert open_tickets(store) == []
    assert {row["escalated"] for row in table(store, "test_keys")} == {2}


def test_a_test_that_a_newer_one_has_replaced_wants_nothing(store: Store) -> None:
    """The objective was changed: what comes now belongs to another test, though the deployment lives on."""
    wanting(store)
    looked(store)
    judge(store, month(60, start=500, first=10.5, every=0.1), theta0=0.5)
    now = START + 17 * HOUR
    assert [p.rate for p in looked(store, now=now)] == [5 * RATE, RATE]
    assert open_tickets(store) == []
    label(store, month(10, every=0.1), False)
    assert [p.rate for p in looked(store, now=now)] == [5 * RATE, RATE]
    assert open_tickets(store) == []


def test_releases_that_are_long_gone_want_nothing(store: Store) -> None:
    begin(store, RATE)
    judge(store, month(100, OLD, every=0.1), bins=[7] * 100)
    judge(store, [request(900, 24 * 5)])
    assert looked(store, now=START + 5 * DAY) == []
    assert table(store, "tickets") == []


def test_an_old_log_changes_no_sampling(store: Store) -> None:
    wanting(store)
    assert looked(store, now=NOW) == []
    assert "evidence_wanted" in open_tickets(store)


def test_it_can_be_switched_off_and_is_off_at_once(store: Store) -> None:
    wanting(store)
    assert [p.rate for p in looked(store)] == [5 * RATE]
    assert [p.rate for p in looked(store, OFF)] == [5 * RATE, RATE]


def test_switched_off_it_writes_nothing(store: Store) -> None:
    wanting(store)
    assert looked(store, OFF) == []
    assert open_tickets(store) == ["evidence_wanted"]


def test_what_two_indicators_want_are_two_tickets(store: Store) -> None:
    wanting(store)
    with store.read() as tx:
        (key,) = evidence.keys(tx)
    other = structs.replace(key, indicator="refusal", test_key=f"{key.test_key}-refusal")
    found = dict.fromkeys(("judged", "unscored", "flagged", "labelled", "reviewed"), 1)
    with store.write() as tx:
        for one in (key, other):
            wishes.begin(tx, one, "platform", found, SINCE)
        wishes.end(tx, key, SINCE)
    (ticket,) = [row for row in table(store, "tickets") if row["state"] == "open"]
    assert json.loads(ticket["subject"])["indicator"] == "refusal"
