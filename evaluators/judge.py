"""The LLM judge: asks OpenAI-compatible endpoints by a rubric.

Failures are values. An answer that cannot be used is asked for once more and is then UNSCORED, with its problem and
what was said. Where an endpoint is slow, down or wrong the next one is asked; where none answers, the sample stays
PENDING. A record that an endpoint refuses as such (too long, filtered) is UNSCORED, since asking again would change
nothing.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from math import isnan
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from evaluators import endpoint as endpoints
from evaluators.answer import Problem, Reply, Unusable, label_probability, parse_answer, read_reply
from evaluators.base import Outcome, content_hash
from evaluators.endpoint import Endpoint, Hung, Response, endpoints_of, names_the_record, refuses_the_request
from evaluators.evidence import quoted
from evaluators.prompt import AGAIN, RECORD, TASK, system_message, user_message
from evaluators.rubric import JudgeAnswer, Rubric
from tidegauge.config import JudgeSection
from tidegauge.domain import CapabilityMemory, EvaluationState, Request, Score, Spending, Usage
from tidegauge.errors import ConfigError
from tidegauge.prices import Prices

VERSION = "1.0.0"
EDGES = (0.03, 0.075, 0.15, 0.5, 0.85, 0.925, 0.97)
"""Judges like 0.9, 0.95 and 0.99: the edges lie between such values and their complements."""

DOUBT = 0.5
"""The most confidence of a verdict whose quotes are not in the texts."""

BYTES_A_TOKEN = 2
"""Of a request, so that its tokens are rather over- than underestimated before a budget is asked."""

_TRANSIENT = frozenset({0, 408, 409, 425, 429})
_OF_THE_RECORD = frozenset({413, 422})
_ATTEMPTS, _HANGS = 5, 3
"""HTTP requests for one answer where the endpoint is busy or broken, and how many of them may hang."""

_ATTEMPTS_BEFORE_ANOTHER, _HANGS_BEFORE_ANOTHER = 3, 1
"""The same where there is a further endpoint to ask."""

_BACKOFF = 0.5  # seconds before the second attempt, and twice that before each further one


class _Unavailable(Exception):
    """This endpoint could not be asked; the text says why, without anything that came over the wire."""


class _Refused(Exception):
    """The endpoint will not take this record, today or tomorrow."""


class _Spent(Exception):
    """The day's budget does not allow another call."""


class _Identity(NamedTuple):
    """Under which version and hash an endpoint's answers are known: its model is part of both."""

    version: str
    content_hash: str


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
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        """Raises ConfigError where the settings cannot work. Without `spending` there is no budget."""
        if not section.model:
            raise ConfigError(f"{name}.model: name the model that judges")
        asked = endpoints_of(section)
        for endpoint in asked:
            if not _is_address(endpoint.base_url):
                raise ConfigError(f"{name}.base_url: write it as http://HOST/v1 or https://HOST/v1")
        self.name = name
        self.settings = section
        self.rubric = rubric
        self.rubrics = (rubric,)
        self._keys = {e.api_key_env: os.environ.get(e.api_key_env, "") for e in asked}
        self._endpoints = [Endpoint(e, section, self._keys[e.api_key_env], memory) for e in asked]
        self._identities = [_identity(rubric, endpoint.section.model) for endpoint in self._endpoints]
        self.version, self.content_hash = self._identities[0]
        self._system = msgspec.Raw(msgspec.json.encode({"role": "system", "content": system_message(rubric)}))
        self._wants_quotes = "quotes" in rubric.response.get("properties", {})
        self._prices = prices
        self._spending = spending
        self._today = today

    @property
    def concurrency(self) -> int:
        return self.settings.concurrency

    @property
    def deadline_seconds(self) -> float:
        """The most that comes between two answers, whatever the endpoints want to be waited for."""
        flight, waits = (_HANGS + 1) * self.settings.timeout_seconds, 2 * _ATTEMPTS * endpoints.LONGEST_WAIT
        return (flight + waits) * len(self._endpoints)

    @property
    def flight_seconds(self) -> float:
        """For all calls to one endpoint about one record; no further one is made after it."""
        return _HANGS * self.settings.timeout_seconds

    async def open(self) -> None:
        """Makes the clients, in the loop that will use them."""
        for endpoint in self._endpoints:
            await endpoint.open()

    async def close(self) -> None:
        for endpoint in self._endpoints:
            await endpoint.close()

    async def evaluate(self, request: Request, draw: int = 0) -> Outcome:
        """One answer about one request. Never raises but when cancelled.

        Calls are counted and timed, waits are not: what a limit or an endpoint makes wait is not late by it.
        """
        call = _Call(self, request, draw)
        try:
            return await call.run()
        except Exception as error:  # noqa: BLE001 - a worker must survive whatever a client library raises
            return call.outcome(EvaluationState.PENDING, f"pending: the client failed: {type(error).__name__}")


class _Call:
    """One request's way through the endpoints, and what it took."""

    def __init__(self, judge: Judge, request: Request, draw: int) -> None:
        self._judge = judge
        self._request = request
        self._draw = draw
        self._user = {"role": "user", "content": user_message(judge.rubric, request)}
        self._calls = self._input = self._output = 0
        self._nano: float = 0.0
        self._flight = 0.0  # seconds that the endpoint in question had for its answers
        self._owed = False  # whether it was asked and has not answered

    async def run(self) -> Outcome:
        problems: list[str] = []
        for number, endpoint in enumerate(self._judge._endpoints):
            last = number == len(self._judge._endpoints) - 1
            self._flight, self._owed = 0.0, False
            try:
                cutoff = None if last else self._judge.settings.cutoff_seconds
                async with asyncio.timeout(cutoff):
                    return await self._ask(endpoint, number, problems)
            except _Unavailable as error:
                problems.append(str(error))
            except TimeoutError:
                seconds = self._judge.settings.cutoff_seconds or 0.0
                problems.append(endpoint.cut_off(seconds) if self._owed else f"not asked within {seconds:g} s")
            except _Refused as error:
                return self.outcome(EvaluationState.UNSCORED, str(error))
            except _Spent:
                return self.outcome(EvaluationState.UNSCORED, "budget spent", spent=True)
        return self.outcome(EvaluationState.PENDING, f"pending: {'; '.join(problems)}")

    async def _ask(self, endpoint: Endpoint, number: int, before: list[str]) -> Outcome:
        """An answer of one endpoint, asked for again where it cannot be used. Raises _Unavailable, _Refused, _Spent."""
        messages: list[Any] = [self._judge._system, self._user]
        problem = Unusable(Problem.EMPTY)
        for _ in range(2):
            response = await self._complete(endpoint, messages)
            try:
                reply = read_reply(response.body)
                self._count(endpoint, reply)
                answer = parse_answer(reply.text, self._judge.rubric)
            except Unusable as error:
                problem = error
                messages = [self._judge._system, self._user, {"role": "user", "content": AGAIN}]
                continue
            await endpoint.remember()
            return self._judged(endpoint, number, reply, answer, before)
        return self.outcome(EvaluationState.UNSCORED, str(problem), number=number, raw=self._redacted(problem.raw))

    async def _complete(self, endpoint: Endpoint, messages: list[Any]) -> Response:
        """A successful response. Raises _Unavailable, _Refused, _Spent."""
        last = endpoint is self._judge._endpoints[-1]
        attempts, most_hangs = (_ATTEMPTS, _HANGS) if last else (_ATTEMPTS_BEFORE_ANOTHER, _HANGS_BEFORE_ANOTHER)
        problem, wait, hangs = f"{endpoint.host}: no time is left for a second answer", 0.0, 0
        for attempt in range(attempts):
            if self._flight >= self._judge.flight_seconds:
                break
            await asyncio.sleep(wait)
            wait = _BACKOFF * min(attempt + 1, 2) * (0.5 + random.random())  # noqa: S311 - jitter
            try:
                response = await self._post_plainly(endpoint, messages)
            except Hung as error:
                problem, wait, hangs = f"{endpoint.host}: {error}", 0.0, hangs + 1
                if hangs == most_hangs:
                    break
                endpoint.failed(problem)
                continue
            status = response.status
            if status == 200:
                self._owed = False
                return response
            if status == 429:
                wait = max(wait, endpoints.retry_after(response.headers, time.time()))
            problem = endpoint.describe(response)
            if status in _OF_THE_RECORD or (status == 400 and names_the_record(response.body)):
                endpoint.breaker.succeeded()
                raise _Refused(f"refused: {endpoint.host} does not take the record: {status}")
            if endpoint.breaker.is_open or (status not in _TRANSIENT and status < 500):
                break
        endpoint.failed(problem)
        raise _Unavailable(problem)

    async def _post_plainly(self, endpoint: Endpoint, messages: list[Any]) -> Response:
        """One response; where an option is refused, as many further ones as there are options to give up."""
        before = endpoint.known
        while True:
            asked_with = endpoint.known
            response = await self._post(endpoint, endpoint.body(messages, self._judge.rubric.response, self._draw))
            if not refuses_the_request(response):
                return response
            # Of many calls that are refused at once, one steps down for all of them.
            if asked_with == endpoint.known and not endpoint.step_down(response.body):
                endpoint.forget(before)
                return response

    async def _post(self, endpoint: Endpoint, body: bytes) -> Response:
        """One HTTP request, once limits, breaker and budget allow it. Raises Hung, _Unavailable, _Spent."""
        tokens, most = await self._take(endpoint, body)
        await endpoint.concurrency.enter()
        try:
            await endpoint.pause.wait()
            if endpoint.refuses:
                raise _Unavailable(f"{endpoint.host} is down; not asked, since {endpoint.breaker.problem}")
            spending = self._judge._spending
            if spending is not None and not await spending.reserve(tokens, most):
                raise _Spent
            response = await self._timed(endpoint, body)
            if spending is not None:
                spending.settle(tokens, most, _used(response))
            return response
        finally:
            endpoint.concurrency.leave()

    async def _timed(self, endpoint: Endpoint, body: bytes) -> Response:
        """The response, its seconds counted. Raises Hung."""
        self._calls += 1
        self._owed, began = True, time.monotonic()
        try:
            return await self._hedged(endpoint, body)
        finally:
            self._flight += time.monotonic() - began

    async def _hedged(self, endpoint: Endpoint, body: bytes) -> Response:
        """The response; with hedging, that of the faster of two requests. Raises Hung."""
        wait = self._judge.settings.hedge_seconds
        if wait is None:
            return await endpoint.post(body)
        first = asyncio.create_task(endpoint.post(body))
        tasks = {first}
        try:
            done, _ = await asyncio.wait(tasks, timeout=wait)
            if not done:
                tasks.add(asyncio.create_task(self._once_more(endpoint, body, first)))
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError, Hung):
                    await task

    async def _once_more(self, endpoint: Endpoint, body: bytes, first: asyncio.Task[Response]) -> Response:
        """A second request counts as any other; where the budget does not allow it, the first one's response."""
        tokens, most = await self._take(endpoint, body)
        spending = self._judge._spending
        if spending is not None and not await spending.reserve(tokens, most):
            return await first
        self._calls += 1
        return await endpoint.post(body)

    async def _take(self, endpoint: Endpoint, body: bytes) -> tuple[int, int]:
        """Waits for the limits a minute; the tokens of the request and the most of an answer."""
        tokens, most = len(body) // BYTES_A_TOKEN, self._judge.settings.max_output_tokens
        await endpoint.requests.take(1)
        await endpoint.tokens.take(tokens + most)
        return tokens, most

    def _count(self, endpoint: Endpoint, reply: Reply) -> None:
        """Adds what a reply took; an endpoint that does not say leaves the cost unknown."""
        if reply.input_tokens is None or reply.output_tokens is None:
            self._nano = float("nan")
            return
        self._input += reply.input_tokens
        self._output += reply.output_tokens
        prices = self._judge._prices.per_token(endpoint.section.model, "", self._judge._today())
        self._nano += reply.input_tokens * prices[0] + reply.output_tokens * prices[1]

    def _judged(self, endpoint: Endpoint, number: int, reply: Reply, answer: JudgeAnswer, before: list[str]) -> Outcome:
        rubric, labels = self._judge.rubric, [label.name for label in self._judge.rubric.labels]
        likely = label_probability(reply, answer.label, labels)
        spans, fault = quoted(answer, self._request, labels[0]) if self._judge._wants_quotes else ((), "")
        confidence = answer.confidence if likely is None else likely
        if fault:
            confidence = min(confidence, DOUBT)
        score = rubric.raw_score(msgspec.structs.replace(answer, confidence=confidence))
        reason = self._redacted(answer.reason)
        notes = [fault, f"asked instead, since {'; '.join(before)}" if before else ""]
        shown = "; ".join([reason, *(note for note in notes if note)])
        said_by = f"{reply.model or endpoint.section.model}@{endpoint.host}"
        found = self.outcome(EvaluationState.JUDGED, shown, number=number)
        return Outcome(
            state=EvaluationState.JUDGED,
            score=msgspec.structs.replace(
                found.score,
                score=score,
                label="hallucinated" if answer.label == labels[0] else "faithful",
                confidence=confidence,
                spans=spans,
                answered_by=f"{said_by} {reply.fingerprint}".strip(),
            ),
        )

    def _redacted(self, text: str) -> str:
        for key in self._judge._keys.values():
            text = text.replace(key, "[key]") if key else text
        return text

    def outcome(
        self, state: EvaluationState, reason: str, *, number: int = 0, raw: str = "", spent: bool = False
    ) -> Outcome:
        """An outcome without an answer, with what it took."""
        identity = self._judge._identities[number]
        cost = None if isnan(self._nano) else round(self._nano)
        usage = Usage(calls=self._calls, input_tokens=self._input, output_tokens=self._output, cost_nano_usd=cost)
        score = Score(
            evaluator=self._judge.name,
            version=identity.version,
            content_hash=identity.content_hash,
            score=None,
            label=None,
            confidence=0.0,
            reason=reason,
            asks=True,
            raw=raw,
            usage=usage,
        )
        return Outcome(state=state, score=score, spent=spent)


def _identity(rubric: Rubric, model: str) -> _Identity:
    return _Identity(
        f"{VERSION}+{rubric.reference}+{model}",
        content_hash("judge", VERSION, rubric.content_hash, model, EDGES, DOUBT, (TASK, RECORD, AGAIN)),
    )


def _is_address(url: str) -> bool:
    try:
        address = urlsplit(url)
        return address.scheme in ("http", "https") and bool(address.hostname)
    except ValueError:  # brackets that hold no address
        return False


def _used(response: Response) -> Usage | None:
    """What a call took, for its budget; None where the endpoint did not say, and nothing where it refused."""
    if response.status != 200:
        return Usage(calls=1)
    with suppress(Unusable):
        reply = read_reply(response.body)
        if reply.input_tokens is not None and reply.output_tokens is not None:
            return Usage(calls=1, input_tokens=reply.input_tokens, output_tokens=reply.output_tokens)
    return None
