"""One attempt to deliver a webhook, signed as Standard Webhooks 1.0.0 says. Failures are values."""

import asyncio
import base64
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from tidegauge.alerts.event import CONTENT_TYPE
from tidegauge.alerts.guard import Target
from tidegauge.domain import short_hash
from tidegauge.errors import ConfigError

SECRET = "TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET"  # noqa: S105 - the variable's name
TIMEOUT_SECONDS = 15.0

_PREFIX = "whsec_"
_LONGEST_RETRY_AFTER = 86_400.0


class Attempt(NamedTuple):
    """What the receiver said; `status` is None when it said nothing."""

    status: int | None
    said: str
    retry_after: float | None

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Signs with the secret and sends to one URL. `wall` gives seconds since the epoch, for the signature's age.

    A `Target` is connected to at its checked address; the name is only said.
    """

    def __init__(self, url: str | Target | None, secret: str | None, wall: Callable[[], float] = time.time) -> None:
        if not url:
            raise ConfigError("rollback.webhook.url: not set; a rollback that is due has nowhere to go")
        problem = unusable(secret)
        if not secret or problem:
            raise ConfigError(problem)
        from standardwebhooks import Webhook  # brings an HTTP client, which few processes ever need

        self._webhook = Webhook(secret)
        self._host = url.host if isinstance(url, Target) else None
        self._url = url.url if isinstance(url, Target) else url
        self.target = short_hash("target", self._url)
        """Names the URL where it must not be written, as it may hold a password."""
        self._wall = wall

    def send(self, delivery: str, body: bytes) -> Attempt:
        at = datetime.fromtimestamp(int(self._wall()), UTC)
        headers = {
            "content-type": CONTENT_TYPE,
            "webhook-id": delivery,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._webhook.sign(msg_id=delivery, timestamp=at, data=body.decode()),
        }
        try:
            return asyncio.run(self._post(body, headers))
        except TimeoutError:
            return Attempt(None, f"no answer in {TIMEOUT_SECONDS:g} s", None)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # ValueError: no name that IDNA knows
            return Attempt(None, type(error).__name__, None)
        except ExceptionGroup as error:  # as of a port that there is not
            return Attempt(None, type(error.exceptions[0]).__name__, None)

    async def _post(self, body: bytes, headers: dict[str, str]) -> Attempt:
        """httpx limits each wait for itself, and a receiver that drips would hold us; this limits the whole."""
        extensions = {}
        if self._host is not None:
            headers = headers | {"host": self._host}
            extensions["sni_hostname"] = urlsplit(f"//{self._host}").hostname
        async with (
            asyncio.timeout(TIMEOUT_SECONDS),
            httpx.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", self._url, content=body, headers=headers, extensions=extensions) as answer,
        ):
            return Attempt(answer.status_code, str(answer.status_code), self._wait(answer.headers.get("retry-after")))

    def _wait(self, text: str | None) -> float | None:
        """A Retry-After (RFC 9110: seconds or a date) in seconds, a day at most; None where it is nonsense or none."""
        try:
            seconds = float(text or "")
        except ValueError:
            try:
                seconds = parsedate_to_datetime(text or "").timestamp() - self._wall()
            except (ValueError, OverflowError):
                return None
        return min(max(0.0, seconds), _LONGEST_RETRY_AFTER) if math.isfinite(seconds) else None


def unusable(secret: str | None) -> str:
    """Why nothing can be signed with the secret; empty where it is one."""
    if not secret:
        return f"{SECRET}: not set in the environment; webhooks are never sent unsigned"
    if not _is_secret(secret):
        return f"{SECRET}: no usable secret; write whsec_ and the base64 of 24 to 64 random bytes"
    return ""


def _is_secret(secret: str) -> bool:
    """The form that Standard Webhooks asks for. Its package skips what is not base64 and takes any length."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        return False
    return secret.startswith(_PREFIX) and 24 <= len(key) <= 64
