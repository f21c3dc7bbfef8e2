"""Decides what is behind, moves rollbacks along and delivers what is due."""

from collections.abc import Iterable
from typing import Any

from tidegauge.alerts.delivery import deliver
from tidegauge.alerts.event import rollback_body
from tidegauge.alerts.notices import notify
from tidegauge.config import Config
from tidegauge.domain import Clock, Micros
from tidegauge.service import burning, canary, health, interlock, label, mixes, review, rollbacks, wishes
from tidegauge.service import decide as decisions
from tidegauge.storage.store import Store, retry_conflicts


def act(store: Store, config: Config, clock: Clock) -> None:
    """Decides every test whose evidence is ahead of its decision, then makes one attempt per due delivery."""
    for key in retry_conflicts(_behind, store, clock.now()):
        wish = retry_conflicts(_decide, store, key, config, clock.now())
        if wish is not None and config.sampling.escalate:
            retry_conflicts(_escalate, store, wish, clock.now())
    retry_conflicts(_check, store, config, clock.now())
    retry_conflicts(_watch_canaries, store, config, clock.now())
    wanted = burning.Objectives(config.slo, config.counted, config.as_objective)
    retry_conflicts(burning.check, store, wanted, clock.now())
    try:
        deliver(store, config, clock)
    finally:  # also of what could not be sent somebody has to hear
        notify(store, config, clock)


def _behind(store: Store, now: Micros) -> list[str]:
    with store.read() as tx:
        return decisions.behind(tx, now)


def _check(store: Store, config: Config, now: Micros) -> None:
    with store.read() as tx:
        judges_changed = interlock.has_changed(tx, now)
    with store.write() as tx:
        health.check(tx, lambda intent: config.objective(intent).owner, config.judge_owner, now, config.judges_on)
        if judges_changed:
            interlock.watch(tx, config.judge_owner, now)
        rollbacks.check(tx, config.rollback, now)
        wishes.check(tx, config.sampling.escalate, now)
        mixes.check(tx, now)


def _watch_canaries(store: Store, config: Config, now: Micros) -> None:
    """Compares two weeks of traffic while others may write."""
    with store.read() as tx:
        looked = canary.look(tx, config.canaries, now)
    if looked:
        with store.write() as tx:
            canary.keep(tx, looked, config.rollback.mode_of, rollback_body, now)


def _decide(store: Store, key: str, config: Config, now: Micros) -> wishes.Escalation | None:
    with store.write() as tx:
        mode = config.rollback.mode_of(tx.value("intent_of_key", test_key=key) or "")
        return decisions.decide(tx, key, mode, rollback_body, now).escalation


def _escalate(store: Store, wish: wishes.Escalation, now: Micros) -> None:
    """In a transaction of its own: who holds a test's key must not wait for those who read under the plan."""
    with store.write() as tx:
        wishes.escalate(tx, wish, now)


def import_and_act(store: Store, config: Config, clock: Clock, lines: Iterable[bytes | str]) -> dict[str, Any]:
    """Applies a file of labels, decides at once and makes the first attempt; what became of each line."""
    read = review.parse_labels(lines)

    def apply() -> label.LabelReport:
        with store.write() as tx:
            return label.apply_labels(tx, read.labels, config.review.confirmations, clock.now())

    report = retry_conflicts(apply)
    act(store, config, clock)
    return {
        "applied": report.applied,
        "corrections": report.corrections,
        "doubled": report.doubled,
        "unknown": report.unknown,
        "volunteered": report.volunteered,
        "bad": len(read.bad),
        "unknown_ids": report.unknown_ids,
        "bad_lines": [bad._asdict() for bad in read.bad],
    }
