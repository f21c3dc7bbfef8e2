"""Budgets of judged answers: over deployments, without experiments, with tickets that open and close."""

import json

import pytest

from tests.service.world import NEW, NOW, OLD, START, commit, ingest, judge, label, request, table
from tidegauge.config import Config, IntentSection
from tidegauge.domain import DAY, HALLUCINATION, iso
from tidegauge.openslo import Level, Slo, Window
from tidegauge.service import objectives
from tidegauge.service.budget import Budget, judged_budget, segment_budgets
from tidegauge.service.budgets import budget_days, budget_rows
from tidegauge.service.burning import KIND, Objectives, check
from tidegauge.service.report import slo_rows
from tidegauge.storage import policies
from tidegauge.storage.store import Store

SLO = Slo(name="refunds", intent="refunds", allowed=0.03)


def wanted(config: Config | None = None) -> Objectives:
    config = config or Config()
    return Objectives(config.slo, config.counted, config.as_objective)


def budget(store: Store, slo: Slo = SLO, experiments: bool = False) -> Budget:
    with store.read() as tx:
        stored = policies.objectives_in_force(tx)[HALLUCINATION, "refunds"]
        return judged_budget(tx, slo, stored, tx.value("newest_traffic"), experiments)


def fill(store: Store, hours: float, count: int, bad: int, first: int, deployment=NEW, **changes) -> None:
    """Requests of an hour on, all labelled."""
    rows = [request(first + n, hours + n * 0.01, deployment, **changes) for n in range(count)]
    judge(store, rows)
    label(store, rows[:bad], True)
    label(store, rows[bad:], False)


def test_a_budget_is_over_deployments_in_proportion_to_their_requests(store: Store):
    fill(store, 0, 60, 3, 0, OLD)
    fill(store, 12, 20, 2, 100, NEW)
    found = budget(store)
    assert found.rate.est == pytest.approx(5 / 80)
    assert found.used.est == pytest.approx(5 / 80 / 0.03)
    assert 0 < found.used.lo < found.used.est < (found.used.hi or 0)
    assert found.requests == 80
    assert found.days_left == 0


def test_a_deployment_without_labels_is_left_out(store: Store):
    fill(store, 0, 60, 3, 0, OLD)
    judge(store, [request(100 + n, 12) for n in range(20)])
    assert budget(store).rate.est == pytest.approx(0.05)


def test_nothing_labelled_is_unknown_and_never_zero(store: Store):
    judge(store, [request(n) for n in range(20)])
    found = budget(store)
    assert (found.rate.est, found.used.est, found.days_left) == (None, None, None)


def test_what_is_older_than_the_window_does_not_count(store: Store):
    fill(store, 0, 50, 10, 0)
    fill(store, 15 * 24, 50, 1, 100)
    assert budget(store).rate.est == pytest.approx(11 / 100)
    week = Slo(name="refunds", intent="refunds", allowed=0.03, window=Window(count=1, unit="w"))
    assert budget(store, week).rate.est == pytest.approx(1 / 50)


def test_experiments_do_not_touch_production(store: Store):
    fill(store, 0, 60, 3, 0)
    fill(store, 1, 40, 40, 100, experiment="shorter-prompt")
    assert budget(store, experiments=True).rate.est == pytest.approx(3 / 60)
    with store.read() as tx:
        parts = {part[0]: part[2].est for part in segment_budgets(tx, SLO, 0.0, tx.value("newest_traffic"))}
        (row,) = slo_rows(tx, {})
    assert parts == {("", ""): pytest.approx(3 / 60), ("", "shorter-prompt"): 1.0}
    assert row["budget_used"] == pytest.approx(3 / 60 / 0.03)
    assert [(s["experiment"], s["requests"]) for s in row["segments"]] == [("", 60), ("shorter-prompt", 40)]
    assert [s["rate"] for s in row["segments"]] == [pytest.approx(3 / 60), 1.0]


def test_sums_of_items_and_sums_of_blocks_agree(store: Store):
    fill(store, 0, 60, 3, 0)
    fill(store, 30, 30, 2, 100, OLD)
    assert budget(store, experiments=True).rate == pytest.approx(budget(store).rate)


def test_a_burning_budget_is_a_ticket_and_never_an_incident(store: Store):
    fill(store, 0, 200, 40, 0)
    check(store, wanted(Config(intents={"*": IntentSection(owner="payments")})), NOW)
    (two,) = (t for t in table(store, "tickets") if json.loads(t["subject"])["burn"] == 2)
    assert (two["kind"], two["state"], two["owner"]) == (KIND, "open", "platform")
    evidence = json.loads(two["evidence"])
    assert evidence["log_e"] > 6.9
    assert evidence["budget_used"] == pytest.approx(40 / 200 / 0.03)
    assert evidence["exhausted_on"] == iso(START)[:10]
    assert table(store, "incidents") == []


def test_a_burn_ticket_goes_to_the_notification_target_of_its_policy(store: Store):
    fill(store, 0, 200, 40, 0)
    slo = Slo(name="refunds", intent="refunds", allowed=0.03, owner="payments", notify=("on-call", "others"))
    check(store, wanted(Config(slos=(slo,))), NOW)
    assert {t["owner"] for t in table(store, "tickets")} == {"on-call"}


def test_a_ticket_closes_when_nothing_burns_any_more(store: Store):
    fill(store, 0, 200, 40, 0)
    check(store, wanted(), NOW)
    assert {t["state"] for t in table(store, "tickets")} == {"open"}
    fill(store, 29 * 24, 300, 0, 1000)
    check(store, wanted(), NOW)
    assert {t["state"] for t in table(store, "tickets")} == {"closed"}


@pytest.mark.parametrize("days", [28, 90])
def test_a_ticket_closes_when_its_traffic_has_left_the_window(store: Store, days: int):
    slo = Slo(name="refunds", intent="refunds", allowed=0.03, window=Window(count=days, unit="d"))
    fill(store, 0, 200, 40, 0)
    check(store, wanted(Config(slos=(slo,))), NOW)
    assert "open" in {t["state"] for t in table(store, "tickets")}
    judge(store, [request(9000, 24 * (days + 2), intent="other")])
    check(store, wanted(Config(slos=(slo,))), NOW)
    assert {t["state"] for t in table(store, "tickets")} == {"closed"}


def test_a_ticket_of_a_level_that_is_no_more_closes(store: Store):
    fill(store, 0, 200, 40, 0)
    levels = [Level(burn=burn) for burn in (2, 3)]
    for chosen, states in ((levels[:1], {2: "open"}), (levels[1:], {2: "closed", 3: "open"})):
        slo = Slo(name="refunds", intent="refunds", allowed=0.03, levels=tuple(chosen))
        check(store, wanted(Config(slos=(slo,))), NOW)
        found = {json.loads(t["subject"])["burn"]: t["state"] for t in table(store, "tickets")}
        assert found == states


def test_a_level_has_one_open_ticket_however_its_number_is_written(store: Store):
    fill(store, 0, 200, 40, 0)
    for burn in (2, 2.0):
        slo = Slo(name="refunds", intent="refunds", allowed=0.03, levels=(Level(burn=burn),))
        check(store, wanted(Config(slos=(slo,))), NOW)
        assert [t["state"] for t in table(store, "tickets")].count("open") == 1


def test_a_ticket_stays_open_while_the_first_block_waits(store: Store):
    fill(store, 0, 5, 0, 5000)
    fill(store, 12, 200, 40, 0)
    check(store, wanted(), NOW)
    assert {t["state"] for t in table(store, "tickets")} == {"open"}
    with store.write() as tx:
        ingest(tx, [request(6000, 1)])  # comes late, and its judge does not answer
    fill(store, 24, 5, 0, 7000)
    check(store, wanted(), NOW)
    assert {level.log_e for level in budget(store).burning} == {None}
    assert {t["state"] for t in table(store, "tickets")} == {"open"}


def test_rates_within_the_objective_open_nothing(store: Store):
    fill(store, 0, 300, 7, 0)
    check(store, wanted(), NOW)
    assert table(store, "tickets") == []


def test_evidence_waits_until_its_block_is_complete(store: Store):
    fill(store, 0, 200, 40, 0)
    late = [request(5000 + n, 3) for n in range(50)]
    with store.write() as tx:
        ingest(tx, late)
    check(store, wanted(), NOW)
    assert table(store, "tickets") == []
    commit(store, late)
    label(store, late, False)
    check(store, wanted(), NOW)
    assert [t["state"] for t in table(store, "tickets")] == ["open"]


def test_the_history_has_a_row_a_day_and_nothing_is_computed_twice(store: Store):
    fill(store, 0, 50, 1, 0)
    assert len(check(store, wanted(), NOW)) == 1
    assert check(store, wanted(), NOW) == []
    fill(store, 30, 50, 3, 100)
    assert len(check(store, wanted(), NOW)) == 1
    with store.read() as tx:
        days = budget_days(tx, "refunds")
        assert budget_days(tx, "other") == []
    assert [day["rate"] for day in days] == [pytest.approx(0.02), pytest.approx(0.04)]
    assert days[0]["day"] < days[1]["day"]


def test_slo_rows_tell_the_budget(store: Store):
    fill(store, 0, 200, 40, 0)
    with store.read() as tx:
        (row,) = slo_rows(tx, {})
        (whole,) = budget_rows(tx, wanted())
    assert row["budget_used"] == whole["budget_used"] == pytest.approx(40 / 200 / 0.03)
    assert row["budget_low"] < row["budget_used"] < row["budget_high"]
    assert row["burning"] == [2]
    assert row["exhausted_on"] is not None
    json.dumps([row, whole], allow_nan=False)


def test_a_changed_objective_is_a_new_version_and_said_in_one_line(store: Store):
    fill(store, 0, 60, 3, 0)
    tighter = Config(intents={"refunds": IntentSection(objective=0.01, owner="payments")})
    with store.write() as tx:
        assert objectives.known_intents(tx) == ["refunds"]
        lines = objectives.declare(tx, [tighter.objective("refunds")], NOW + DAY)
        assert objectives.declare(tx, [tighter.objective("refunds")], NOW + DAY) == []
    assert lines == ["hallucination of refunds: 3 % is now 1 %; a new test starts"]
    other = Config(intents={"refunds": IntentSection(objective=0.01, owner="finance")})
    with store.write() as tx:
        assert objectives.declare(tx, [other.objective("refunds")], NOW + 2 * DAY) == []
        versions = objectives.history(tx)
    assert [v["objective"] for v in versions] == [0.03, 0.01]
    assert [(c["what"], c["old"], c["new"]) for c in versions[1]["changes"]] == [("owner", "payments", "finance")]


def test_burning_is_measured_against_the_objective_in_force(store: Store):
    fill(store, 0, 200, 40, 0)
    with store.write() as tx:
        objectives.declare(tx, [Config(intents={"*": IntentSection(objective=0.2)}).objective("refunds")], NOW)
    check(store, wanted(Config(intents={"*": IntentSection(objective=0.2)})), NOW)
    assert table(store, "tickets") == []
