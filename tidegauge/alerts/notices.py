"""Who is told what: notices from incidents and tickets, kept in the store, grouped into messages and sent by apprise.

A notice exists once per subject and kind, whatever is killed; a message is sent at least once to every contact. Which
contact got which notice is kept, so that one that is down does not make the others ring again.
"""

import logging
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from tidegauge.alerts import duty
from tidegauge.alerts.duty import Contact
from tidegauge.alerts.messages import Message, compose
from tidegauge.config import Config, OwnerSection
from tidegauge.domain import DAY, HOUR, SECOND, Clock, Micros, short_hash
from tidegauge.storage.store import Row, Store, Transaction, retry_conflicts

Severity = Literal["page", "ticket"]
Send = Callable[[str, Message], bool]
"""Sends a message to an apprise URL; whether it got there."""

FALLBACK = "platform"
"""Told where the owner is not among the owners."""

_LOOK_BACK = 7 * DAY
_CLAIM = 5 * 60 * SECOND
_FIRST_WAIT = 60 * SECOND
_log = logging.getLogger("tidegauge")


def notify(store: Store, config: Config, clock: Clock, send: Send | None = None) -> int:
    """Collects what is new and tells the owners; the number of messages that got there."""
    if not config.owners:
        return 0
    with store.write() as tx:
        collect(tx, config, clock.now())
    with store.read() as tx:
        if not tx.value("count_due_notices", now=clock.now()):
            return 0
    teller = _Teller(store, config, clock, os.environ, send or by_apprise)
    severities: tuple[Severity, ...] = ("page", "ticket")
    return sum(teller.tell(name, severity) for severity in severities for name in sorted(config.owners))


class _Notice(NamedTuple):
    kind: str
    subject: str
    owner: str
    severity: Severity
    at: Micros

    @property
    def id(self) -> str:
        return short_hash(self.kind, self.subject, str(self.at))


def collect(tx: Transaction, config: Config, now: Micros) -> None:
    """Makes the notices that events and tickets of the last week lack; what ended before anybody heard is dropped."""
    since = now - _LOOK_BACK
    known = {row["notice"] for row in tx.rows("known_notices", since=since - DAY)}
    found = [*_of_incidents(tx, config, since), *_of_tickets(tx, since)]
    for notice in found:
        owner = notice.owner if notice.owner in config.owners else FALLBACK
        if notice.id in known or owner not in config.owners:
            continue
        fields = {"kind": notice.kind, "subject": notice.subject, "severity": notice.severity}
        tx.run("insert_notice", notice=notice.id, owner=owner, now=now, **fields)
        if notice.kind == "ticket_closed" and tx.run("drop_unsent_notices", subject=notice.subject, kind="ticket"):
            tx.run("drop_unsent_notices", subject=notice.subject, kind="ticket_closed")


def _of_incidents(tx: Transaction, config: Config, since: Micros) -> list[_Notice]:
    found = []
    for row in tx.rows("events_to_tell", since=since):
        kind = {"failed": "failed", "verified": "resolved", "cancelled": "resolved"}.get(row["to_stage"]) or row["what"]
        found.append(_Notice(kind, row["incident"], config.objective(row["intent"]).owner, "page", row["at"]))
    return found


def _of_tickets(tx: Transaction, since: Micros) -> list[_Notice]:
    found = []
    for row in tx.rows("tickets_to_tell", since=since):
        found.append(_Notice("ticket", row["ticket"], row["owner"], "ticket", row["opened_at"]))
        if row["closed_at"] is not None:
            found.append(_Notice("ticket_closed", row["ticket"], row["owner"], "ticket", row["closed_at"]))
    return found


class _Teller:
    """Messages of one process."""

    def __init__(self, store: Store, config: Config, clock: Clock, environ: Mapping[str, str], send: Send) -> None:
        self._store, self._config, self._clock, self._environ, self._send = store, config, clock, environ, send
        self._me = short_hash(str(os.getpid()), str(clock.now()))
        self._missing: set[str] = set()

    def tell(self, name: str, severity: Severity) -> int:
        """One message to each contact of an owner, of everything that is due; how many got there."""
        owner, now = self._config.owners[name], self._clock.now()
        if severity == "ticket" and duty.quiet(owner, now):
            return 0
        contacts = self._contacts(owner, severity)
        full = self._full(name, owner, severity)
        free = [contact for contact in contacts if contact.name not in full]
        if not free:
            return 0
        with self._store.write() as tx:
            place = {"owner": name, "severity": severity, "now": now}
            due = tx.rows("claim_notices", **place, until=now + _CLAIM, claimed_by=self._me)
            sent = {(r["notice"], r["contact"]) for r in tx.rows_in("messages_of_notices", "notices", _ids(due))}
        if not due:
            return 0
        told = [contact for contact in free if self._one(contact, due, sent)]
        self._settle(due, [contact.name for contact in contacts], sent)
        return len(told)

    def _contacts(self, owner: OwnerSection, severity: Severity) -> list[Contact]:
        variable = duty.on_duty(owner, self._clock.now()) if severity == "page" else owner.contacts_env
        found = duty.contacts(variable, self._environ)
        name = variable or "contacts_env"
        if not found and name not in self._missing:  # pages and tickets mostly go to the same contacts
            self._missing.add(name)
            _log.warning("notices: %s is not set in the environment; nobody is told", name)
        return found

    def _full(self, name: str, owner: OwnerSection, severity: Severity) -> set[str]:
        """Contacts that had as many messages in the last hour as they may."""
        limit = owner.pages_per_hour if severity == "page" else owner.tickets_per_hour
        with self._store.read() as tx:
            rows = tx.rows("messages_since", owner=name, severity=severity, since=self._clock.now() - HOUR)
        return {row["contact"] for row in rows if row["messages"] >= limit}

    def _one(self, contact: Contact, due: Sequence[Row], sent: set[tuple[str, str]]) -> bool:
        """Whether a message of what a contact has not heard yet got there."""
        rows = [row for row in due if (row["notice"], contact.name) not in sent]
        if not rows:
            return False
        with self._store.read() as tx:
            message = compose(tx, rows, self._config.rollback.link)
        if not self._send(contact.url, message):
            _log.warning("notices: %s could not be reached", contact.name)
            return False
        retry_conflicts(self._record, contact.name, _ids(rows))  # a message that is not recorded would be sent again
        sent.update((notice, contact.name) for notice in _ids(rows))
        return True

    def _record(self, contact: str, notices: Sequence[str]) -> None:
        message = short_hash(contact, *sorted(notices))
        with self._store.write() as tx:
            for notice in notices:
                fields = {"notice": notice, "contact": contact, "message": message}
                tx.run("insert_notice_message", **fields, now=self._clock.now())

    def _settle(self, due: Sequence[Row], names: Sequence[str], sent: set[tuple[str, str]]) -> None:
        now, oldest = self._clock.now(), self._config.rollback.dead_letter_hours * HOUR
        with self._store.write() as tx:
            for row in due:
                told = all((row["notice"], name) in sent for name in names)
                state = "sent" if told else "failed" if now - row["created_at"] > oldest else "due"
                wait = min(HOUR, _FIRST_WAIT * 2 ** min(row["attempts"], 6))
                fields = {"due_at": now + wait, "sent_at": now if told else None, "attempts": 0 if told else 1}
                tx.run("settle_notice", notice=row["notice"], state=state, claimed_by=self._me, **fields)


def _ids(rows: Sequence[Row]) -> list[str]:
    return [row["notice"] for row in rows]


def by_apprise(url: str, message: Message) -> bool:
    """Slack, PagerDuty, e-mail and whatever else apprise knows, by the URL's scheme."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it loads imghdr
            return _by_apprise(url, message)
    except Exception as error:  # noqa: BLE001 - a hundred services by other people; one must not end the job
        _log.warning("notices: apprise raised %s", type(error).__name__)
        return False


def _by_apprise(url: str, message: Message) -> bool:
    """By the service itself: `Apprise.notify` goes through a thread pool, which hangs in forked processes."""
    import apprise
    from apprise import conversion

    for name in ("apprise", "urllib3.connectionpool"):  # what they say may hold the URL
        logging.getLogger(name).disabled = True
    tones = {
        "page": apprise.NotifyType.FAILURE,
        "ticket": apprise.NotifyType.WARNING,
        "resolved": apprise.NotifyType.SUCCESS,
    }
    service = apprise.Apprise.instantiate(url)
    if service is None:
        return False
    convert: Callable[..., str] = conversion.convert_between
    text, wanted = apprise.NotifyFormat.TEXT, service.notify_format
    body = convert(text, wanted, content=message.body)
    title = convert(text, wanted, content=message.title) if service.title_maxlen <= 0 else message.title
    return bool(service.notify(body=body, title=title, notify_type=tones[message.tone], body_format=wanted))
