"""The LLM judge: asks an OpenAI-compatible endpoint by a rubric. The one file that knows the package `openai`.

Failures are values. An answer that cannot be used is asked for once more and is then UNSCORED. A judge that cannot be
asked (network, timeout, 429, 5xx, a wrong key or model) is PENDING: the sample stays and is asked about later. A record
that the endpoint refuses as such (too long, filtered) is UNSCORED, since asking again would change nothing.
"""

import asyncio
import math
import os
import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from evaluators.base import Outcome, content_hash
from evaluators.prompt import AGAIN, RECORD, TASK, parse_answer, system_message, user_message
from evaluators.rubric import Rubric
from tidegauge.config import JudgeSection
from tidegauge.domain import CapabilityMemory, EvaluationState, Request, Score, Spending
from tidegauge.errors import ConfigError
from tidegauge.prices import Prices

if TYPE_CHECKING:
    from openai import AsyncOpenAI

VERSION = "1.0.0"
EDGES = (0.03, 0.075, 0.15, 0.5, 0.85, 0.925, 0.97)
"""Judges like 0.9, 0.95 and 0.99: the edges lie between such values and their complements."""

_TRANSIENT = frozenset({408, 409, 425, 429})
_OF_THE_RECORD = frozenset({413, 422})
_RECORD_CODES = (b"context_length", b"context length", b"content_filter", b"content management policy", b"too long")
_ATTEMPTS = 3  # HTTP requests for one answer, where the endpoint is busy or broken
_BACKOFF = 0.5  # seconds before the second attempt, doubled for each further one
_LONGEST_WAIT = 20.0  # seconds that a Retry-After may ask for
_UNSAID_WAIT = 1.0  # seconds after a 429 that does not say how long
_DOWN_AFTER = 32  # requests in a row that got no answer in all their attempts
_DOWN_FOR = 10.0  # seconds without asking


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    choices: list[_Choice]


_COMPLETION = msgspec.json.Decoder(_Completion)


class _Unavailable(Exception):
    """Nobody could be asked; the text says why, without anything that came over the wire."""


class _Refused(Exception):
    """The endpoint will not take this record, today or tomorrow."""


class Judge:
    """Between `open` and `close`, both in one event loop, `evaluate` may run many times at once."""

    needs: frozenset[str] = frozenset()
    asks = True
    edges: tuple[float, ...] = EDGES

    def __init__(
        self,
        name: str,
        section: JudgeSection,
        rubric: Rubric,
        *,
        prices: Prices,
        spending: Spending | None = None,
        memory: CapabilityMemory | None = None,
    ) -> None:
        """Raises ConfigError where the settings cannot work. Without `spending` there is no budget."""
        try:
            address = urlsplit(section.base_url or "")
            good = address.scheme in ("http", "https") and bool(address.hostname)
        except ValueError:  # brackets that hold no address
            good = False
        if not good:
            raise ConfigError(f"{name}.base_url: write it as http://HOST/v1 or https://HOST/v1")
        if not section.model:
            raise ConfigError(f"{name}.model: name the model that judges")
        self.name = name
        self.settings = section
        self.rubric = rubric
        self.rubrics = (rubric,)
        self.version = f"{VERSION}+{rubric.reference}+{section.model}"
        self.content_hash = content_hash(
            "judge", VERSION, rubric.content_hash, section.model, EDGES, (TASK, RECORD, AGAIN)
        )
        self._system = {"role": "system", "content": system_message(self.rubric)}
        self._options: dict[str, Any] = {"response_format": {"type": "json_object"}, "temperature": 0}
        self._key = os.environ.get(section.api_key_env, "")
        self._client: AsyncOpenAI | None = None
        self._resume_at = 0.0
        self._failures = 0
        self._down_until = 0.0

    @property
    def concurrency(self) -> int:
        return self.settings.concurrency

    @property
    def deadline_seconds(self) -> float:
        """For everything about one record, waits and second questions included."""
        return 3 * self.settings.timeout_seconds

    async def open(self) -> None:
        """Makes the client, in the loop that will use it."""
        from openai import AsyncOpenAI, DefaultAioHttpClient

        self._client = AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self.settings.base_url,
            max_retries=0,
            http_client=DefaultAioHttpClient(timeout=self.settings.timeout_seconds, follow_redirects=False),
        )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def evaluate(self, request: Request, draw: int = 0) -> Outcome:
        """One answer about one request, at the latest after `deadline_seconds`. Never raises but when cancelled."""
        try:
            async with asyncio.timeout(self.deadline_seconds):
                return await self._ask(request)
        except TimeoutError:
            return self.pending(f"no verdict within {self.deadline_seconds:g} s")
        except _Unavailable as error:
            return self.pending(str(error))
        except _Refused as error:
            return self._unscored(str(error))
        except Exception as error:  # noqa: BLE001 - a worker must survive whatever a client library raises
            return self.pending(f"the client failed: {type(error).__name__}")

    async def _ask(self, request: Request) -> Outcome:
        messages = [self._system, {"role": "user", "content": user_message(self.rubric, request)}]
        problem = ""
        for question in (messages, [*messages, {"role": "user", "content": AGAIN}]):
            data = await self._complete(question)
            try:
                answer = parse_answer(_content(data), self.rubric)
            except ValueError as error:
                problem = str(error)
                continue
            hallucinated = answer.label == self.rubric.labels[0].name
            score = self._score(self.rubric.raw_score(answer), answer.confidence, self._redacted(answer.reason))
            return Outcome(
                state=EvaluationState.JUDGED,
                score=msgspec.structs.replace(score, label="hallucinated" if hallucinated else "faithful"),
            )
        return self._unscored(f"malformed: {problem}")

    async def _complete(self, messages: list[dict[str, str]]) -> bytes:
        """The body of a successful response. Raises _Unavailable or _Refused."""
        problem = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_BACKOFF * 2 ** (attempt - 1) * (0.5 + random.random()))  # noqa: S311 - jitter
            await self._wait_for_turn()
            status, headers, data = await self._post_plainly(messages)
            if status == 200:
                self._failures = 0
                return data
            problem = f"the endpoint answers {status}" if status else data.decode()
            if status == 429:
                pause = _retry_after(headers)
                self._resume_at = max(self._resume_at, time.monotonic() + pause)
            if status in _OF_THE_RECORD or (status == 400 and any(c in data.lower() for c in _RECORD_CODES)):
                raise _Refused(f"the endpoint refuses the record: {status}")
            if status and status not in _TRANSIENT and status < 500:
                raise _Unavailable(problem)
        self._count_failure()
        raise _Unavailable(problem)

    async def _post_plainly(self, messages: list[dict[str, str]]) -> tuple[int, Mapping[str, str], bytes]:
        """`_post`; where the endpoint refuses the answer's format or the temperature, once more without them."""
        result = await self._post(messages, self._options)
        if result[0] != 400 or not self._options or any(c in result[2].lower() for c in _RECORD_CODES):
            return result
        plain = await self._post(messages, {})
        if plain[0] == 200:
            self._options = {}
        return plain

    async def _post(
        self, messages: list[dict[str, str]], options: dict[str, Any]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body. Status 0 means that no response came; the body then says why.

        Raises _Unavailable on a timeout: the next one would only hold the place longer.
        """
        import httpx2
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        assert self._client is not None, "the judge is not open"
        body = {"model": self.settings.model, "messages": messages, **options}
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                response = await self._client.post("/chat/completions", cast_to=httpx2.Response, body=body)
                return response.status_code, response.headers, response.content
        except APIStatusError as error:
            return error.response.status_code, error.response.headers, error.response.content
        except TimeoutError:
            self._count_failure()
            raise _Unavailable(f"no answer within {self.settings.timeout_seconds:g} s") from None
        except APITimeoutError as error:
            return 0, {}, f"no connection: {_cause(error)}".encode()
        except APIConnectionError as error:
            return 0, {}, f"no connection: {_cause(error)}".encode()

    async def _wait_for_turn(self) -> None:
        """Waits while the endpoint wants peace. Raises _Unavailable while it is taken to be down."""
        while (wait := self._resume_at - time.monotonic()) > 0:
            await asyncio.sleep(wait + random.random() * 0.1)  # noqa: S311 - jitter
        if time.monotonic() < self._down_until:
            raise _Unavailable("the judge is down; not asked")

    def _count_failure(self) -> None:
        """Many requests in a row without an answer: the judge is down, and its queue must not hold up the stream."""
        self._failures += 1
        if self._failures >= _DOWN_AFTER:
            self._down_until = time.monotonic() + _DOWN_FOR

    def _redacted(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text

    def pending(self, reason: str) -> Outcome:
        """What stands for an answer that did not come."""
        return Outcome(state=EvaluationState.PENDING, score=self._score(None, 0.0, f"pending: {reason}"))

    def _unscored(self, reason: str) -> Outcome:
        return Outcome(state=EvaluationState.UNSCORED, score=self._score(None, 0.0, reason))

    def _score(self, score: float | None, confidence: float, reason: str) -> Score:
        return Score(
            evaluator=self.name,
            version=self.version,
            content_hash=self.content_hash,
            score=score,
            label=None,
            confidence=confidence,
            reason=reason,
            asks=True,
        )


def _content(data: bytes) -> str | None:
    """The text of the first choice. Raises ValueError where the body is no chat completion."""
    try:
        choices = _COMPLETION.decode(data).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("the response is no chat completion") from None
    if not choices:
        raise ValueError("the response has no choices")
    return choices[0].message.content


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait, capped; a fixed wait where the endpoint does not say, or says it as a date."""
    try:
        seconds = float(headers["retry-after"])
    except (KeyError, ValueError):
        return _UNSAID_WAIT
    return min(max(seconds, 0.0), _LONGEST_WAIT) if math.isfinite(seconds) else _LONGEST_WAIT


def _cause(error: Exception) -> str:
    """The class of what lies beneath; its text may hold addresses and more."""
    return type(error.__cause__ or error).__name__
