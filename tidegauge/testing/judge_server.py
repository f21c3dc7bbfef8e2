"""An OpenAI-compatible judge on loopback, with answers, latency and faults by script."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tidegauge.testing.loopback import Call, LoopbackServer

FaultKind = Literal["status", "malformed", "body", "empty_choices", "hang", "reset", "truncated"]


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong.

    status: an error with `status`, `retry_after` and `text`. malformed: a good response whose answer is `text`.
    body: status 200 with `text` as the body. empty_choices: no choices. hang: no response until the server closes.
    reset: the connection breaks. truncated: the body ends too early.
    """

    kind: FaultKind
    status: int = 500
    retry_after: str | None = None
    text: str = "I would say that it is fine."


@dataclass(frozen=True)
class Answer:
    """What the judge says."""

    label: str = "faithful"
    confidence: float = 0.9
    reason: str = "scripted"


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

    `latency` is in seconds, a number or a function of the request. `refuse_format`: 400 where a response_format is
    asked for, as some servers do.
    """

    def __init__(
        self,
        verdict: Callable[[JudgeRequest], Answer] = faithful,
        *,
        faults: Iterable[Fault | None] = (),
        latency: float | Callable[[JudgeRequest], float] = 0.0,
        refuse_format: bool = False,
    ) -> None:
        self.verdict = verdict
        self.latency = latency
        self.refuse_format = refuse_format
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
        if fault is None and self.refuse_format and "response_format" in request.body:
            fault = Fault("status", status=400, text="response_format is not supported")
        time.sleep(self.latency(request) if callable(self.latency) else self.latency)
        with self.lock:  # before the response goes out: the next request may come in before this thread goes on
            self.counters.in_flight -= fault is None or fault.kind != "hang"
            self.counters.answered += fault is None
            self.counters.faulted += fault is not None
        if fault is None:
            call.send_json(200, _completion(request, _text(self.verdict(request))))
        else:
            self._go_wrong(call, request, fault)

    def _go_wrong(self, call: Call, request: JudgeRequest, fault: Fault) -> None:
        if fault.kind == "status":
            headers = {"retry-after": fault.retry_after} if fault.retry_after is not None else {}
            call.send_json(fault.status, {"error": {"message": fault.text}}, headers)
        elif fault.kind == "malformed":
            call.send_json(200, _completion(request, fault.text))
        elif fault.kind == "body":
            call.send(200, fault.text.encode())
        elif fault.kind == "empty_choices":
            call.send_json(200, {**_completion(request, ""), "choices": []})
        elif fault.kind == "truncated":
            call.send(200, json.dumps(_completion(request, _text(Answer())))[:80].encode(), missing=100)
        else:
            if fault.kind == "hang":
                self.closing.wait()
            call.reset()


def _text(answer: Answer) -> str:
    return json.dumps({"reason": answer.reason, "label": answer.label, "confidence": answer.confidence})


def _completion(request: JudgeRequest, text: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": request.body.get("model", ""),
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }
