"""The table of transitions, the diagram of it in the documentation, and random walks of people and the clock."""

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.alerts.test_delivery import put
from tests.alerts.world import stages
from tests.service.world import table
from tidegauge.alerts.event import rollback_body
from tidegauge.config import RollbackSection
from tidegauge.domain import DAY, HOUR, SECOND, Stage
from tidegauge.errors import UsageError
from tidegauge.service import incidents, rollbacks
from tidegauge.service.protocol import TRANSITIONS, move
from tidegauge.service.rollbacks import Bucket, helped
from tidegauge.storage.migrations import migrate
from tidegauge.storage.sampling import FIVE_MINUTES
from tidegauge.storage.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "rollback.md"
TERMS = RollbackSection(cool_down_hours=1, most_per_day=2, approval_hours=5)


def test_the_diagram_in_the_documentation_is_the_table() -> None:
    diagram = re.search(r"```mermaid\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert diagram
    drawn = set(re.findall(r"^ *(\w+) --> (\w+)", diagram[1], re.MULTILINE))
    assert drawn == {(old.value, new.value) for old, following in TRANSITIONS.items() for new in following}
    ends = set(re.findall(r"^ *(\w+) --> \[\*\]", diagram[1], re.MULTILINE))
    assert ends == {stage.value for stage, following in TRANSITIONS.items() if not following}


def proposed(store: Store, number: int, delivery: str) -> str:
    put(store, number, number)
    with store.write() as tx:
        tx.run("set_stage", incident=f"i-{number}", stage="proposed", now=number)
        tx.rows("move_deliveries", incident=f"i-{number}", states=["due"], state=delivery, now=number)
    return f"i-{number}"


@pytest.mark.parametrize("old", Stage)
def test_only_what_the_table_allows_can_be_done(store: Store, old: Stage) -> None:
    incident = proposed(store, 1, "held")
    for new in Stage:
        with store.write() as tx:
            tx.run("set_stage", incident=incident, stage=old.value, now=1)
            if new in TRANSITIONS[old]:
                move(tx, incident, new, who="ann", why="", now=2)
            else:
                with pytest.raises(UsageError, match=f"it is {old} and cannot become {new}"):
                    move(tx, incident, new, who="ann", why="", now=2)
    assert len(stages(store, incident)) == len(TRANSITIONS[old])


ACTIONS = ("approve", "cancel", "resolve", "replay", "release", "check", "yes", "no", "later")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(1, 3)), max_size=25), st.sampled_from(["held", "due"]))
def test_whatever_people_do_the_history_keeps_to_the_table(tmp_path: Path, steps: list, delivery: str) -> None:
    path = tmp_path / "walk.db"
    path.unlink(missing_ok=True)
    store = Store(f"sqlite:///{path}")
    migrate(store)
    names = [proposed(store, number, delivery) for number in (1, 2, 3)]
    now = HOUR
    for action, number in steps:
        now += 3 * HOUR if action == "later" else SECOND
        with contextlib.suppress(UsageError):
            step(store, action, f"i-{number}", now)
        flying = [row for row in table(store, "incidents") if row["stage"] in ("sent", "acknowledged")]
        assert len([row for row in flying if row["state"] == "open"]) <= 1
    for row in (r for r in table(store, "incident_events") if r["to_stage"]):
        assert Stage(row["to_stage"]) in TRANSITIONS[Stage(row["from_stage"])]
    sent = [row["at"] for row in table(store, "incident_events") if row["to_stage"] == "sent"]
    assert sent == sorted(sent)
    within_limits(table(store, "incident_events"))
    for row in table(store, "incidents"):
        assert (stages(store, row["incident"]) or ["proposed"])[-1] == row["stage"]
    assert [row["incident"] for row in table(store, "incidents")] == names
    store.close()


def within_limits(events: list[dict]) -> None:
    """No more incidents a day than allowed, but for those that a person sends again."""
    sent = [(row["at"], row["incident"]) for row in events if row["to_stage"] == "sent"]
    for now, incident in sent:
        others = {name for at, name in sent if now - DAY < at < now and name != incident}
        assert len(others) < TERMS.most_per_day


def step(store: Store, action: str, incident: str, now: int) -> None:
    with store.write() as tx:
        if action in ("approve", "cancel", "resolve", "replay"):
            getattr(incidents, action)(tx, incident, "ann", "", now)
        elif action == "release":
            rollbacks.release(tx, TERMS, rollback_body, now)
        elif action == "check":
            rollbacks.check(tx, TERMS, now)
        elif action in ("yes", "no"):
            row = tx.first("incident", incident=incident)
            if row["stage"] == "sent" and action == "yes":
                rollbacks.acknowledged(tx, incident, "200", now)
            elif row["stage"] == "sent":
                tx.rows("move_deliveries", incident=incident, states=["due"], state="failed", now=now)
                rollbacks.fail(tx, row, "500", now)


def five_minutes(pairs: list[tuple[int, int]], since: int) -> list[Bucket]:
    first = -(-since // FIVE_MINUTES)
    return [Bucket(first + n, own, own + other) for n, (own, other) in enumerate(pairs)][::-1]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=40),
    st.integers(0, 10**12),
    st.floats(0.001, 1),
)
def test_whether_it_helped_is_said_in_time_and_only_of_a_share_that_fell(
    pairs: list, since: int, before: float
) -> None:
    buckets = five_minutes(pairs, since)
    now = (buckets[0].number + 1) * FIVE_MINUTES - 1 if buckets else since  # within the newest five minutes
    said = helped(buckets, since=since, now=now, before=before, terms=RollbackSection())
    if now - since >= HOUR and any(b.requests for b in buckets):
        assert said is not None
    if said:
        own, requests = sum(b.own for b in buckets[:3]), sum(b.requests for b in buckets[:3])
        assert own == 0 or requests < 20 / before + 30 or own / requests < 0.05
    if said is False:
        assert any(b.own for b in buckets)
    late = helped(buckets, since=since, now=now + 2 * DAY, before=before, terms=RollbackSection())
    assert late is not None


def test_a_canary_of_few_requests_is_not_taken_for_gone() -> None:
    buckets = five_minutes([(1, 39), (2, 38)], 0)
    assert helped(buckets, since=0, now=2 * FIVE_MINUTES, before=0.04, terms=RollbackSection()) is None
    assert helped(buckets, since=0, now=HOUR, before=0.04, terms=RollbackSection()) is False
