"""An OpenAI-compatible judge on loopback, with answers, latency and faults by script."""

import json
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tidegauge.testing.loopback import Call, LoopbackServer

REFUSAL_SECONDS = 0.02
"""The most that an error with a status takes, for which no model has to run."""

FaultKind = Literal[
    "status",
    "malformed",
    "body",
    "empty_choices",
    "hang",
    "reset",
    "truncated",
    "refusal",
    "filtered",
    "length",
    "tool_call",
    "empty",
]


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong.

    status: an error with `status`, `retry_after` and `text`. malformed: a good response whose answer is `text`.
    body: status 200 with `text` as the body. empty_choices: no choices. hang: no response until the server closes.
    reset: the connection breaks. truncated: the body ends too early. refusal: the model declines, in its own field.
    filtered, length: it stopped for that reason. tool_call: it calls a function. empty: it says nothing.
    """

    kind: FaultKind
    status: int = 500
    retry_after: str | None = None
    text: str = "I would say that it is fine."


@dataclass(frozen=True)
class Answer:
    """What the judge says. `likely`: P(label) by its tokens' log-probabilities, given where they are asked for."""

    label: str = "faithful"
    confidence: float = 0.9
    reason: str = "scripted"
    quotes: tuple[dict[str, str | None], ...] = ()
    likely: float | None = None
    reasoning: str | None = None
    """A thought, in the field that some servers have for it."""


def random_faults(seed: int, shares: dict[Fault, float]) -> Iterator[Fault | None]:
    """An endless script in which each fault has its share of the requests."""
    rng = random.Random(seed)  # noqa: S311 - a script, not a secret
    faults = [*shares, None]
    weights = [*shares.values(), 1 - sum(shares.values())]
    while True:
        yield rng.choices(faults, weights)[0]


@dataclass(frozen=True)
class JudgeRequest:
    """What the judge was asked: the whole body, and the record between its markers ({} where there is none)."""

    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def record(self) -> dict[str, Any]:
        for message in self.body.get("messages", ()):
            lines = str(message.get("content", "")).split("\n")
            if message.get("role") == "user" and lines[0].startswith("BEGIN RECORD ") and len(lines) > 1:
                found = json.loads(lines[1])
                return found if isinstance(found, dict) else {}
        return {}


@dataclass
class Counters:
    """requests = answered + faulted, once all are answered. `asked` holds every request in order of arrival."""

    requests: int = 0
    answered: int = 0
    faulted: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    asked: list[JudgeRequest] = field(default_factory=list)


def faithful(_request: JudgeRequest) -> Answer:
    return Answer()


class JudgeServer(LoopbackServer):
    """Speaks POST /v1/chat/completions. `faults` are taken one a request, None for none; when they end all goes well.

    `latency` is in seconds, a number or a function of the request; an error with a status comes sooner. `refuses`:
    options that are answered with the status `refuses_with`, of json_schema, json_object, logprobs, temperature,
    max_tokens, as servers do that do not know them.
    `usage`: tokens in and out of every answer; None where the server does not say.
    """

    def __init__(
        self,
        verdict: Callable[[JudgeRequest], Answer] = faithful,
        *,
        faults: Iterable[Fault | None] = (),
        latency: float | Callable[[JudgeRequest], float] = 0.0,
        refuses: Iterable[str] = (),
        refuses_with: int = 400,
        usage: tuple[int, int] | None = (100, 20),
    ) -> None:
        self.verdict = verdict
        self.latency = latency
        self.refuses = frozenset(refuses)
        self.refuses_with = refuses_with
        self.usage = usage
        self.counters = Counters()
        self._faults: Iterator[Fault | None] = iter(faults)
        super().__init__()

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def fail(self, faults: Iterable[Fault | None]) -> None:
        """A new script of faults, from the next request on."""
        with self.lock:
            self._faults = iter(faults)

    def respond(self, call: Call) -> None:
        if call.path != "/v1/chat/completions":
            call.send_json(404, {"error": {"message": "no such path"}})
            return
        request = JudgeRequest(json.loads(call.body), call.headers)
        with self.lock:
            self.counters.requests += 1
            self.counters.in_flight += 1
            self.counters.max_in_flight = max(self.counters.max_in_flight, self.counters.in_flight)
            self.counters.asked.append(request)
            fault = next(self._faults, None)
        refused = sorted(self.refuses & _options(request.body))
        if fault is None and refused:
            fault = Fault("status", status=self.refuses_with, text=f"{refused[0]} is not supported")
        latency = self.latency(request) if callable(self.latency) else self.latency
        time.sleep(min(latency, REFUSAL_SECONDS) if fault is not None and fault.kind == "status" else latency)
        with self.lock:  # before the response goes out: the next request may come in before this thread goes on
            self.counters.in_flight -= fault is None or fault.kind != "hang"
            self.counters.answered += fault is None
            self.counters.faulted += fault is not None
        if fault is None:
            call.send_json(200, self._answered(request, self.verdict(request)))
        else:
            self._go_wrong(call, request, fault)

    def _go_wrong(self, call: Call, request: JudgeRequest, fault: Fault) -> None:
        if fault.kind == "status":
            headers = {"retry-after": fault.retry_after} if fault.retry_after is not None else {}
            call.send_json(fault.status, {"error": {"message": fault.text}}, headers)
        elif fault.kind == "body":
            call.send(200, fault.text.encode())
        elif fault.kind == "empty_choices":
            call.send_json(200, {**self._completion(request, {}), "choices": []})
        elif fault.kind == "truncated":
            call.send(200, json.dumps(self._answered(request, Answer())).encode()[:80], missing=100)
        elif fault.kind in _MESSAGES:
            message, finish = _MESSAGES[fault.kind](fault.text)
            call.send_json(200, self._completion(request, message, finish))
        else:
            if fault.kind == "hang":
                self.closing.wait()
            call.reset()

    def _answered(self, request: JudgeRequest, answer: Answer) -> dict[str, Any]:
        text = _text(answer)
        message = {"content": text, **({"reasoning_content": answer.reasoning} if answer.reasoning else {})}
        logprobs = _logprobs(text, answer) if request.body.get("logprobs") and answer.likely is not None else None
        return self._completion(request, message, logprobs=logprobs)

    def _completion(
        self, request: JudgeRequest, message: dict[str, Any], finish: str = "stop", logprobs: Any = None
    ) -> dict[str, Any]:
        choice = {
            "index": 0,
            "finish_reason": finish,
            "message": {"role": "assistant", **message},
            "logprobs": logprobs,
        }
        body = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": request.body.get("model", ""),
            "system_fingerprint": "fp_test",
            "choices": [choice],
        }
        if self.usage is not None:
            given, made = self.usage
            body["usage"] = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
        return body


_TOOL_CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_MESSAGES: dict[str, Callable[[str], tuple[dict[str, Any], str]]] = {
    "malformed": lambda text: ({"content": text}, "stop"),
    "refusal": lambda text: ({"content": None, "refusal": text}, "stop"),
    "filtered": lambda text: ({"content": ""}, "content_filter"),
    "length": lambda text: ({"content": _text(Answer())[:30]}, "length"),
    "tool_call": lambda text: (
        {
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        "tool_calls",
    ),
    "empty": lambda text: ({"content": ""}, "stop"),
}


def _options(body: dict[str, Any]) -> set[str]:
    """What of a request some servers do not know."""
    asked = {name for name in ("logprobs", "temperature", "max_tokens") if name in body}
    return asked | ({body["response_format"]["type"]} if "response_format" in body else set())


def _text(answer: Answer) -> str:
    value: dict[str, Any] = {"reason": answer.reason, "label": answer.label, "confidence": answer.confidence}
    return json.dumps(value | ({"quotes": answer.quotes} if answer.quotes else {}))


def _logprobs(text: str, answer: Answer) -> dict[str, Any]:
    """Three tokens: what stands before the label, its beginning, and the rest."""
    likely = min(max(answer.likely or 0.0, 1e-9), 1 - 1e-9)
    start = text.index('"label": "') + len('"label": "')
    other = "faithful" if answer.label == "hallucinated" else "hallucinated"
    label = {"token": text[start : start + 4], "logprob": math.log(likely)}
    alternatives = [label, {"token": other[:4], "logprob": math.log(1 - likely)}]
    parts = [
        {"token": text[:start], "logprob": 0.0, "top_logprobs": []},
        {**label, "top_logprobs": alternatives},
        {"token": text[start + 4 :], "logprob": 0.0, "top_logprobs": []},
    ]
    return {"content": parts}
