"""A store's URL as text: the only place where one is written, without what is secret in it.

A password may stand before the host, in the query, and in either of several hosts; a driver's message may repeat any.
"""

import re
from collections.abc import Iterable, Iterator

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from tidegauge.errors import StoreError

HIDDEN = "***"

_SECRET = re.compile(r"pas|pwd|secret|token|credential|_key$|^dsn$|^conninfo$", re.IGNORECASE)
"""Names of the query whose values are not shown; misspelt ones too, for the driver repeats what it does not know.
The last two hold another URL as a whole."""

_SETTING = re.compile(r"(?:-c\s*|--)?\b([\w.-]+)\s*=\s*('(?:\\.|[^'\\])*'|(?:\\.|[^\s\\])+)")
"""One of several settings in a value of the query: those of `options`, and of what holds another URL."""

_PLACE = "passfile"
"""Names a file: not shown, but it travels."""

_OF_SETTINGS = ("options", "dsn", "conninfo")

_FORM = "a store is sqlite:///FILE or postgresql://HOST/NAME, with several hosts ?host=A:5432&host=B:5432"


def parsed(url: str) -> sa.URL:
    """Raises StoreError, which does not repeat it: what is badly written may be the password."""
    try:
        found = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(f"store: its URL cannot be read; {_FORM}") from None
    if found.drivername.startswith("postgres") and "@" in (found.database or ""):
        raise StoreError("store: a password with @ and / in it is written with %40 and %2F in a URL")
    return found


def shown(url: sa.URL) -> str:
    """The URL to be read by people."""
    query = {
        name: HIDDEN if _SECRET.search(name) else tuple(map(_host, values))
        for name, values in url.normalized_query.items()
    }
    text = url.set(host=_host(url.host or "") or None, query=query).render_as_string(hide_password=True)
    return text.replace("%2A%2A%2A", HIDDEN)


def travelling(text: str) -> str:
    """A URL without its secrets; those who arrive bring them."""
    url = parsed(text)
    query: dict[str, tuple[str, ...]] = {
        name: kept
        for name, values in url.normalized_query.items()
        if (name == _PLACE or not _SECRET.search(name)) and (kept := tuple(filter(None, _kept(name, values))))
    }
    host = _bare(url.host) if url.host else None
    plain = sa.URL.create(url.drivername, url.username, None, host, url.port, url.database, query)
    return text if plain == url else plain.render_as_string()


def hidden(text: str, url: sa.URL) -> str:
    """A driver's words without the secrets of the URL."""
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _host(value: str) -> str:
    """Everything before the last @ may belong to a password that is not escaped."""
    before, at, host = value.rpartition("@")
    return f"{HIDDEN}@{host}" if before or at else host


def _bare(hosts: str) -> str:
    return ",".join(host.rpartition("@")[2] for host in hosts.split(","))


def _kept(name: str, values: Iterable[str]) -> Iterator[str]:
    """What of a value of the query may travel."""
    for value in values:
        if name == "options":
            yield _SETTING.sub(lambda found: "" if _SECRET.search(found[1]) else found[0], value).strip()
        else:
            yield _bare(value) if name == "host" else value


def _secrets(url: sa.URL) -> Iterator[str]:
    found = [str(url.password or "")]
    for name, values in url.normalized_query.items():
        if _SECRET.search(name):
            found += values
        if name in _OF_SETTINGS:
            found += [part for value in values for part in _in_settings(value)]
        if name == "host":
            found += [part for value in values for host in value.split(",") for part in _before(host)]
    found += [part for host in (url.host or "").split(",") for part in _before(host)]
    yield from {text for text in found if text}


def _in_settings(value: str) -> Iterator[str]:
    """Values of settings with the name of a secret, as written and as meant; and words that belong to no setting."""
    for name, said in _SETTING.findall(value):
        if _SECRET.search(name):
            yield from (said, re.sub(r"\\(.)", r"\1", said.strip("'")))
    yield from (word for word in _SETTING.sub(" ", value).split() if not word.startswith("-"))


def _before(host: str) -> tuple[str, str]:
    """User and password of one of several hosts, together and the password alone."""
    before = host.rpartition("@")[0]
    return before, before.partition(":")[2]
