"""One place to ask, over HTTP. The one file that knows the package `openai`.

The package makes the HTTP client (its aiohttp backend); requests are built here once and sent on that client, since
most of a call's cost is the package's own request building. What an endpoint can do is found out by asking: where it
refuses an option it is asked without, from then on.
"""

import asyncio
import email.utils
import http
import logging
import math
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from evaluators.limits import Bucket, Concurrency, Pause, breaker_of
from tidegauge.config import Config, EndpointSection, JudgeSection
from tidegauge.domain import CapabilityMemory

if TYPE_CHECKING:
    from httpx2 import AsyncClient

LONGEST_WAIT = 20.0  # seconds that a Retry-After may ask for
UNSAID_WAIT = 1.0  # seconds after a 429 that does not say how long
UP_TO_DATE = {"format": "json_schema", "logprobs": "yes", "temperature": "yes", "seed": "yes", "limit": "max_tokens"}
"""What a new endpoint is asked with."""

_NAMES = {
    "limit": (b"max_tokens", b"max_completion_tokens"),
    "logprobs": (b"logprobs",),
    "temperature": (b"temperature",),
    "seed": (b"seed",),
    "format": (b"response_format", b"json_schema", b"json_object"),
}
"""Words by which an error names the option that it refuses."""

_LADDER = {"json_schema": "json_object", "json_object": "text"}
_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "none"}
_ALTERNATIVES = 5
_OF_THE_KEY = frozenset({401, 403})
_OF_THE_ADDRESS = frozenset({301, 302, 307, 308, 404, 405})

_RECORD_CODES = (b"context_length", b"context length", b"content_filter", b"content management policy", b"too long")

_log = logging.getLogger("tidegauge")


def endpoints_of(judge: JudgeSection) -> tuple[EndpointSection, ...]:
    """In the order in which they are asked."""
    first = EndpointSection(base_url=judge.base_url or "", model=judge.model, api_key_env=judge.api_key_env)
    return (first, *judge.fallbacks)


def asked_judges(config: Config) -> tuple[JudgeSection, ...]:
    """Those that samples are judged by, each once; in a panel's place its members."""
    judges = {"judge": config.judge, **config.judges}
    names = [step.name for step in config.evaluation.steps] + list(config.evaluation.indicators.values())
    found = []
    while names:
        judge = judges.pop(names.pop(0), None)
        if judge is not None and judge.panel:
            names += judge.panel
        elif judge is not None and judge.on:
            found.append(judge)
    return tuple(found)


def all_endpoints(config: Config) -> tuple[EndpointSection, ...]:
    """Of all of them, each once."""
    return tuple(dict.fromkeys(endpoint for judge in asked_judges(config) for endpoint in endpoints_of(judge)))


class Response(NamedTuple):
    """Status 0: none came, and `body` says why."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Hung(Exception):
    """No answer within the time for one call."""


class Endpoint:
    """Between `open` and `close`, in one event loop. `counts` says what happened, for the log."""

    def __init__(
        self,
        section: EndpointSection,
        judge: JudgeSection,
        key: str,
        memory: CapabilityMemory | None,
        least_format: str = "text",
    ) -> None:
        """`least_format`: the rung of the ladder below which the endpoint is of no use."""
        self.section = section
        self.host = urlsplit(section.base_url).netloc.rpartition("@")[2]
        self.concurrency = Concurrency(judge.concurrency, time.monotonic)
        self.requests = Bucket(judge.requests_per_minute, time.monotonic)
        self.tokens = Bucket(judge.tokens_per_minute, time.monotonic)
        self.breaker = breaker_of(section)
        self.pause = Pause(time.monotonic)
        self.counts: Counter[str] = Counter()
        self._timeout = judge.timeout_seconds
        self._max_tokens = judge.max_output_tokens
        self._memory = memory
        self._least_format = least_format
        self._has_key = bool(key)
        self._url = section.base_url.rstrip("/") + "/chat/completions"
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {key or 'none'}"}
        self._known = dict(UP_TO_DATE)
        self._remembered = dict(UP_TO_DATE)
        self._client: AsyncClient | None = None

    async def open(self) -> None:
        from openai import DefaultAioHttpClient

        self._client = DefaultAioHttpClient(timeout=self._timeout, follow_redirects=False)
        if self._memory is not None:
            recalled = await asyncio.to_thread(self._memory.recall, self.section.base_url, self.section.model)
            self._known |= recalled
            self._remembered = dict(self._known)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None
            if self.counts:
                _log.info("judge at %s: %s", self.host, ", ".join(f"{k} {n}" for k, n in sorted(self.counts.items())))

    def body(self, messages: list[Any], schema: dict[str, Any], draw: int) -> bytes:
        """The request, by what is known of the endpoint. `draw` above 0: an independent answer."""
        known = self._known
        body: dict[str, Any] = {"model": self.section.model, "messages": messages}
        if known["format"] == "json_schema":
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}
        elif known["format"] == "json_object":
            body["response_format"] = {"type": "json_object"}
        if known["limit"] != "none":
            body[known["limit"]] = self._max_tokens
        if known["temperature"] == "yes":
            body["temperature"] = 0.7 if draw else 0
        if draw and known["seed"] == "yes":
            body["seed"] = draw
        if known["logprobs"] == "yes":
            body |= {"logprobs": True, "top_logprobs": _ALTERNATIVES}
        return msgspec.json.encode(body)

    async def post(self, body: bytes) -> Response:
        """One HTTP request. Raises Hung."""
        assert self._client is not None, "the endpoint is not open"
        self.counts["calls"] += 1
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.post(self._url, content=body, headers=self._headers)
                found = Response(response.status_code, response.headers, response.content)
        except TimeoutError:
            self.counts["hung"] += 1
            self.concurrency.troubled()
            raise Hung(f"no answer within {self._timeout:g} s") from None
        except Exception as error:  # noqa: BLE001 - whatever a client library raises, the endpoint did not answer
            self.counts["no connection"] += 1
            cause = error.__cause__ or error
            return Response(0, {}, f"no connection: {type(cause).__name__}".encode())
        self._note(found, time.monotonic() - started)
        return found

    @property
    def refuses(self) -> bool:
        """Whether it is left alone now; who is told that it is not may be the one to try."""
        return self.breaker.refuses(self._timeout)

    def failed(self, problem: str) -> None:
        """No answer could be had. `problem` has nothing in it that came over the wire."""
        self.breaker.failed(problem)

    def cut_off(self, seconds: float) -> str:
        """It was asked, and no answer was there when the next one's turn came; says so."""
        problem = f"{self.host}: no answer within {seconds:g} s"
        self.counts["cut off"] += 1
        self.concurrency.troubled()
        self.failed(problem)
        return problem

    def describe(self, response: Response) -> str:
        """What is wrong with a response that is no answer. Never its body, which may repeat a key or the record."""
        if not response.status:
            return f"{self.host}: {response.body.decode()}"
        said = f"{self.host} answers {response.status} {_phrase(response.status)}".rstrip()
        if response.status in _OF_THE_KEY:
            return f"{said}: {self.section.api_key_env} {'holds no key for it' if self._has_key else 'is not set'}"
        if response.status in _OF_THE_ADDRESS:
            return f"{said}: base_url or model ({self.section.model}) is wrong"
        return said

    def _note(self, response: Response, latency: float) -> None:
        if response.status == 200:
            self.breaker.succeeded()
            self.concurrency.answered(latency)
            return
        self.counts[f"status {response.status}"] += 1
        if response.status == 429:
            self.concurrency.troubled()
            if self.concurrency.overloaded:
                self.pause.ask_for(retry_after(response.headers, time.time()))

    def step_down(self, refusal: bytes) -> bool:
        """Gives up one option, the one that the refusal names or else the most demanding; whether any was left."""
        for option in self._suspects(refusal.lower()):
            known = self._known[option]
            if option == "format" and known in _LADDER and known != self._least_format:
                self._known["format"] = _LADDER[known]
            elif option == "limit" and known in _LIMITS:
                self._known["limit"] = _LIMITS[known]
            elif known == "yes":
                self._known[option] = "no"
            else:
                continue
            return True
        return False

    @staticmethod
    def _suspects(refusal: bytes) -> list[str]:
        named = [option for option, words in _NAMES.items() if any(word in refusal for word in words)]
        return [*named, *(option for option in ("format", "format", "logprobs", "limit", "temperature") if not named)]

    def forget(self, known: Mapping[str, str]) -> None:
        """Goes back to what was known before steps down that did not help."""
        self._known = dict(known)

    @property
    def known(self) -> dict[str, str]:
        return dict(self._known)

    async def remember(self) -> None:
        """Keeps what was learnt, where it is new."""
        if self._memory is not None and self._known != self._remembered:
            self._remembered = dict(self._known)
            learnt = {k: v for k, v in self._known.items() if v != UP_TO_DATE[k]}
            await asyncio.to_thread(self._memory.remember, self.section.base_url, self.section.model, learnt)


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def refuses_the_request(response: Response) -> bool:
    """Whether an option may be at fault. Some servers answer an unknown one with 422, or even 500, and name it."""
    if response.status == 400:
        return not names_the_record(response.body)
    return response.status in (422, 500, 501) and _names_an_option(response.body)


def names_the_record(refusal: bytes) -> bool:
    """Whether an error says that this record is too long, or not wanted."""
    said = refusal.lower()
    return any(code in said for code in _RECORD_CODES)


def _names_an_option(refusal: bytes) -> bool:
    """Whether an error says that an option of the request is not valid, rather than that something broke."""
    said = refusal.lower()
    named = any(word in said for words in _NAMES.values() for word in words)
    return named and any(word in said for word in (b"valid", b"support", b"unknown", b"unrecognized", b"extra"))


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds to wait, from a number or an HTTP date (RFC 9110, 10.2.3), capped; a fixed wait where nothing is said."""
    said = headers.get("retry-after", "")
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(said).timestamp() - now
        except (TypeError, ValueError):
            return UNSAID_WAIT
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else LONGEST_WAIT
