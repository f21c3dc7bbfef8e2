"""Decides what is behind and delivers what is due."""

import os
import random
from collections.abc import Callable, Iterable
from typing import Any

from tidegauge.alerts.event import rollback_body
from tidegauge.alerts.webhook import SECRET, Attempt, Sender
from tidegauge.config import Config
from tidegauge.domain import HOUR, SECOND, Clock, DeliveryState, Micros, short_hash
from tidegauge.service import burning, health, incidents, label, review
from tidegauge.service import decide as decisions
from tidegauge.storage import outbox
from tidegauge.storage.store import Store, retry_conflicts

MOST_ATTEMPTS = 24
GONE = 410

_CLAIM = 60 * SECOND
_FIRST_WAIT = 60 * SECOND
_LONGEST_WAIT = HOUR
_PORTION = 100


def act(store: Store, config: Config, clock: Clock) -> None:
    """Decides every test whose evidence is ahead of its decision, then makes one attempt per due delivery."""
    with store.read() as tx:
        behind = decisions.behind(tx)
    for key in behind:
        retry_conflicts(_decide, store, key, config, clock.now())
    with store.write() as tx:
        health.check(tx, lambda intent: config.objective(intent).owner, clock.now())
    burning.check(store, burning.Objectives(config.slo, config.counted, config.as_objective), clock.now())
    deliver(store, config, clock)


def _decide(store: Store, key: str, config: Config, now: Micros) -> None:
    with store.write() as tx:
        decisions.decide(tx, key, config.rollback.mode, rollback_body, now)


def deliver(store: Store, config: Config, clock: Clock, draw: Callable[[], float] = random.random) -> int:
    """One attempt per due delivery; their number. Raises ConfigError when one is due and cannot be sent at all."""
    owner = short_hash(str(os.getpid()), str(clock.now()))
    now = clock.now()
    with store.read() as tx:
        if not outbox.count_due(tx, now):
            return 0
    sender = Sender(config.rollback.webhook.url, os.environ.get(SECRET))
    for tried in range(_PORTION):
        with store.write() as tx:  # one at a time: a claim must outlast its own attempt only
            claimed = outbox.claim(tx, owner, now, clock.now() + _CLAIM, 1)
        if not claimed:
            return tried
        delivery = claimed[0]
        attempt = sender.send(delivery.delivery, delivery.body)
        state, wait = outcome(attempt, delivery.attempts + 1, draw)
        with store.write() as tx:
            outbox.record(
                tx, delivery, owner, state=state, said=attempt.said, due_at=clock.now() + wait, now=clock.now()
            )
            what = "delivered" if attempt.accepted else "attempt failed"
            incidents.note(tx, delivery.incident, who="tidegauge", what=what, why=attempt.said, now=clock.now())
    return _PORTION


def outcome(attempt: Attempt, attempts: int, draw: Callable[[], float]) -> tuple[DeliveryState, Micros]:
    """State after an attempt and the wait before the next: 1 minute doubled each time up to an hour, with jitter."""
    if attempt.accepted:
        return DeliveryState.DELIVERED, 0
    if attempt.status == GONE or attempts >= MOST_ATTEMPTS:
        return DeliveryState.FAILED, 0
    backoff = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (attempts - 1))
    wait = backoff * (0.5 + draw() / 2)
    return DeliveryState.DUE, round(max(wait, (attempt.retry_after or 0.0) * SECOND))


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
