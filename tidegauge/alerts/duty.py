"""Who is on duty, and when it is quiet: an owner's hours in their own time zone."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tidegauge.config import OwnerSection, ShiftSection
from tidegauge.domain import SECOND, Micros

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Contact(NamedTuple):
    """`name` is its variable and place, `url` a secret."""

    name: str
    url: str


def quiet(owner: OwnerSection, now: Micros) -> bool:
    """Whether tickets have to wait."""
    return owner.quiet_hours is not None and _within(owner.quiet_hours, _DAYS, _local(owner, now))


def on_duty(owner: OwnerSection, now: Micros) -> str | None:
    """The variable with the contacts that a page goes to."""
    local = _local(owner, now)
    shift = next((s for s in owner.on_call if _on(s, local)), None)
    return shift.contacts_env if shift else owner.contacts_env


def contacts(variable: str | None, environ: Mapping[str, str]) -> list[Contact]:
    """Apprise URLs in a variable, separated by blanks or line ends."""
    urls = environ.get(variable or "", "").split()
    return [Contact(f"{variable}[{place}]", url) for place, url in enumerate(urls)]


def _local(owner: OwnerSection, now: Micros) -> datetime:
    return datetime.fromtimestamp(now / SECOND, UTC).astimezone(ZoneInfo(owner.timezone))


def _on(shift: ShiftSection, local: datetime) -> bool:
    return _within(shift.hours, shift.days, local)


def _within(hours: str, days: tuple[str, ...], local: datetime) -> bool:
    """Whether a time is within hours that begin on one of the days; they may end on the next."""
    first, last = (_minutes(part) for part in hours.split("-"))
    minute = local.hour * 60 + local.minute
    today, yesterday = _DAYS[local.weekday()], _DAYS[(local - timedelta(days=1)).weekday()]
    if first < last:
        return today in days and first <= minute < last
    return (today in days and minute >= first) or (yesterday in days and minute < last)


def _minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)
