"""Delivers webhooks that are due: at least once, in order per intent, one rollback of the store at a time."""

import logging
import os
import random
from collections.abc import Callable, Sequence

from tidegauge.alerts.event import rollback_body
from tidegauge.alerts.webhook import SECRET, Attempt, Sender
from tidegauge.config import Config, RollbackSection
from tidegauge.domain import HOUR, SECOND, Clock, DeliveryState, Micros, Stage, short_hash
from tidegauge.errors import ConfigError
from tidegauge.service import rollbacks, tickets
from tidegauge.service.protocol import TIDEGAUGE, note
from tidegauge.storage import outbox
from tidegauge.storage.outbox import Delivery
from tidegauge.storage.store import Row, Store, Transaction, retry_conflicts

GONE = 410
UNSIGNED = "rollback_unsigned"
"""The ticket of webhooks that wait because nothing can be signed or nowhere is named."""

_CLAIM = 60 * SECOND
_FIRST_WAIT = 60 * SECOND
_LONGEST_WAIT = HOUR
_PORTION = 100
_WEBHOOK = {"webhook": "rollback"}

_log = logging.getLogger("tidegauge")


def deliver(store: Store, config: Config, clock: Clock, draw: Callable[[], float] = random.random) -> int:
    """One attempt per due delivery; their number. What cannot be signed stays due, and is said: the job goes on."""
    now = clock.now()
    with store.read() as tx:
        due = tx.rows("due_deliveries", now=now)
        told = tx.value("ticket_is_open", ticket=tickets.ticket_id(UNSIGNED, _WEBHOOK))
    if due:
        try:
            sender = Sender(config.rollback.webhook.url, os.environ.get(SECRET))
        except ConfigError as error:
            _log.warning("rollback: %s; waiting to be sent: %d", error, len(due))
            retry_conflicts(_leave_due, store, due, str(error), config.objective("*").owner, now)
            return 0
    if told:
        retry_conflicts(_close_ticket, store, now)
    if not due:
        return 0
    round_ = _Round(store, config.rollback, clock, sender, draw)
    tried = 0
    while tried < _PORTION and round_.next():
        tried += 1
    return tried


def _leave_due(store: Store, due: Sequence[Row], why: str, owner: str, now: Micros) -> None:
    """No attempt was made of these, and none counts; whoever is on call has to hear of it, and what to set."""
    with store.write() as tx:
        for row in due:
            rollbacks.note_unsent(tx, row["incident"], why, now)
            tx.run("leave_due", delivery=row["delivery"], why=why)
        evidence = {"why": why, "incidents": [row["incident"] for row in due]}
        tickets.open_ticket(tx, kind=UNSIGNED, subject=_WEBHOOK, owner=owner, evidence=evidence, now=now)


def _close_ticket(store: Store, now: Micros) -> None:
    with store.write() as tx:
        tickets.close_ticket(tx, tickets.ticket_id(UNSIGNED, _WEBHOOK), now)


class _Round:
    """Attempts of one process, one at a time: a claim must outlast its own attempt only."""

    def __init__(
        self, store: Store, terms: RollbackSection, clock: Clock, sender: Sender, draw: Callable[[], float]
    ) -> None:
        self._store, self._terms, self._clock, self._sender, self._draw = store, terms, clock, sender, draw
        self._began = clock.now()
        self._owner = short_hash(str(os.getpid()), str(self._began))

    def next(self) -> bool:
        """Whether there was one to try."""
        claimed = retry_conflicts(self._claim)
        if claimed is None:
            return False
        delivery, refused = claimed
        attempt = refused or self._sender.send(delivery.delivery, delivery.body)
        retry_conflicts(self._record, delivery, attempt, refused is not None)
        return True

    def _claim(self) -> tuple[Delivery, Attempt | None] | None:
        """The next one, and why it must not be sent, if so. A rollback counts as sent from here on."""
        now = self._clock.now()
        with self._store.write() as tx:
            rollbacks.release(tx, self._terms, rollback_body, now)
            claimed = outbox.claim(tx, self._owner, self._began, now + _CLAIM, 1)
            return (claimed[0], self._refusal(tx, claimed[0])) if claimed else None

    def _refusal(self, tx: Transaction, delivery: Delivery) -> Attempt | None:
        disabled = tx.value("disabled_target", target=self._sender.target)
        if disabled:
            return Attempt(None, f"not sent, the target is disabled: {disabled}", None)
        if not rollbacks.still_good(tx, delivery.incident):
            return Attempt(None, "not sent, the last good deployment is in breach itself", None)
        return None

    def _record(self, delivery: Delivery, attempt: Attempt, refused: bool) -> None:
        now = self._clock.now()
        over = refused or now - self._due_since(delivery, now) >= self._terms.dead_letter_hours * HOUR
        state, wait = outcome(attempt, delivery.attempts + 1, self._draw, over=over)
        with self._store.write() as tx:
            tx.rows("lock_incident", incident=delivery.incident)  # before its delivery, as people's commands do
            outbox.record(tx, delivery, self._owner, state=state, said=attempt.said, due_at=now + wait, now=now)
            if attempt.status == GONE:
                tx.run("disable_target", target=self._sender.target, now=now, why="it answered 410")
            if attempt.accepted:
                rollbacks.acknowledged(tx, delivery.incident, attempt.said, now)
                return
            note(tx, delivery.incident, who=TIDEGAUGE, what="attempt failed", why=attempt.said, now=now)
            row = tx.first("incident", incident=delivery.incident)
            if state is DeliveryState.FAILED and row and row["stage"] == Stage.SENT:
                rollbacks.fail(tx, row, f"the webhook was not delivered: {attempt.said}", now)

    def _due_since(self, delivery: Delivery, now: Micros) -> Micros:
        """What a stop held back is late from its end on."""
        with self._store.read() as tx:
            row = tx.first("incident", incident=delivery.incident)
            stopped = tx.value("stopped_until", intent=row["intent"], now=now) if row else None
        return max(delivery.due_since, int(stopped or 0))


def outcome(
    attempt: Attempt, attempts: int, draw: Callable[[], float], *, over: bool = False
) -> tuple[DeliveryState, Micros]:
    """State after an attempt and the wait before the next: 1 minute doubled each time up to an hour, with jitter.

    `over`: it is too old, or must not be sent, and is given up.
    """
    if attempt.accepted:
        return DeliveryState.DELIVERED, 0
    if attempt.status == GONE or over:
        return DeliveryState.FAILED, 0
    backoff = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(attempts - 1, 6))
    wait = backoff * (0.5 + draw() / 2)
    return DeliveryState.DUE, round(max(wait, (attempt.retry_after or 0.0) * SECOND))
