"""What came back from a judge: a usable answer, or one of a closed list of reasons why it is none.

Tolerant in form, strict in content. A thought before the answer, a code fence or prose around it and numbers written as
text are forgiven; a label that is none of the rubric's, a confidence that is no probability, and two answers are not.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from evaluators.rubric import JudgeAnswer, Quote, Rubric

REASON_LENGTH = 500
RAW_LENGTH = 2_000
MOST_QUOTES = 20


class Problem(StrEnum):
    """Why a response is no answer."""

    NO_COMPLETION = "no completion"  # the body is no chat completion
    NO_CHOICES = "no choices"
    REFUSED = "refused"  # the model declines, in the field made for it
    FILTERED = "filtered"  # finish_reason content_filter
    TRUNCATED = "truncated"  # finish_reason length
    TOOL_CALL = "tool call"  # it wants to call a function instead of answering
    EMPTY = "empty"
    NOT_JSON = "not the JSON object asked for"
    AMBIGUOUS = "more than one answer"
    UNKNOWN_LABEL = "label none of the rubric's"  # another language's among them
    BAD_CONFIDENCE = "confidence not within 0 and 1"


class Unusable(ValueError):
    """Carries the problem, and the text that had it; its message is free of that text."""

    def __init__(self, problem: Problem, raw: str = "") -> None:
        super().__init__(f"malformed: {problem}")
        self.problem = problem
        self.raw = raw[:RAW_LENGTH]


class _Alternative(msgspec.Struct):
    token: str
    logprob: float


class _Token(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Alternative] | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[msgspec.Raw] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None
    model: str | None = None
    system_fingerprint: str | None = None


class Reply(NamedTuple):
    """A chat completion: its text, what it took, who says to have written it, and the tokens with log-probabilities."""

    text: str
    input_tokens: int | None
    output_tokens: int | None
    model: str
    fingerprint: str
    tokens: Sequence[Any]


_COMPLETION = msgspec.json.Decoder(_Completion)
_THOUGHT = re.compile(r"^.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
_BAD_FINISH = {"length": Problem.TRUNCATED, "content_filter": Problem.FILTERED}


def read_reply(data: bytes) -> Reply:
    """The completion in a response body. Raises Unusable."""
    try:
        found = _COMPLETION.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unusable(Problem.NO_COMPLETION, data[:RAW_LENGTH].decode("utf-8", "replace")) from None
    if not found.choices:
        raise Unusable(Problem.NO_CHOICES)
    choice = found.choices[0]
    text = choice.message.content or ""
    if choice.message.refusal:
        raise Unusable(Problem.REFUSED, choice.message.refusal)
    if choice.finish_reason in _BAD_FINISH:
        raise Unusable(_BAD_FINISH[choice.finish_reason], text)
    if not text.strip():
        raise Unusable(Problem.TOOL_CALL if choice.message.tool_calls else Problem.EMPTY)
    usage = found.usage
    return Reply(
        text,
        usage.prompt_tokens if usage else None,
        usage.completion_tokens if usage else None,
        found.model or "",
        found.system_fingerprint or "",
        (choice.logprobs.content if choice.logprobs else None) or (),
    )


def parse_answer(text: str | None, rubric: Rubric) -> JudgeAnswer:
    """The answer in a text. Raises Unusable."""
    if not text or not text.strip():
        raise Unusable(Problem.EMPTY)
    found = [value for value in _objects(_THOUGHT.sub("", text, count=1)) if "label" in value]
    if not found:
        raise Unusable(Problem.NOT_JSON, text)
    if any(value != found[0] for value in found[1:]):
        raise Unusable(Problem.AMBIGUOUS, text)
    value = found[0]
    label = value["label"].strip().lower() if isinstance(value["label"], str) else ""
    if label not in rubric.score:
        raise Unusable(Problem.UNKNOWN_LABEL, text)
    confidence = _confidence(value.get("confidence"))
    if confidence is None:
        raise Unusable(Problem.BAD_CONFIDENCE, text)
    reason = value.get("reason")
    shown = _CONTROL.sub(" ", reason if isinstance(reason, str) else "").strip()[:REASON_LENGTH]
    return JudgeAnswer(label=label, confidence=confidence, reason=shown, quotes=_quotes(value.get("quotes")))


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The outermost JSON objects in a text, in order."""
    decoder = json.JSONDecoder()
    place = text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            if isinstance(value, dict):
                yield value
        place = text.find("{", end)


def _confidence(value: object) -> float | None:
    """A probability, also one that is written as text or per cent."""
    if isinstance(value, str):
        percent = _PERCENT.fullmatch(value)
        try:
            value = float(percent[1]) / 100 if percent else float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= 1 else None


def _quotes(value: object) -> tuple[Quote, ...]:
    """What can be read of the quotes; they are evidence, and what is not there proves nothing."""
    entries = value if isinstance(value, list) else []
    found = []
    for entry in entries[:MOST_QUOTES]:
        said = entry if isinstance(entry, dict) else {"response": entry}
        response, context = said.get("response"), said.get("context")
        if isinstance(response, str) and response.strip():
            found.append(Quote(response=response, context=context if isinstance(context, str) else None))
    return tuple(found)


def label_probability(reply: Reply, label: str, labels: Sequence[str]) -> float | None:
    """P(label) among the rubric's labels, by the log-probabilities of the token where they part; None without them.

    Alternatives that begin no label do not count.
    """
    token = _label_token(reply.tokens)
    if token is None:
        return None
    weights = dict.fromkeys(labels, 0.0)
    seen = {token.token: token.logprob} | {a.token: a.logprob for a in token.top_logprobs or ()}
    for text, logprob in seen.items():
        start = text.strip(' "\n').lower()
        matching = [name for name in labels if start and (name.startswith(start) or start.startswith(name))]
        if len(matching) == 1 and logprob <= 0:
            weights[matching[0]] += math.exp(logprob)
    total = sum(weights.values())
    return weights[label] / total if total > 0 and weights[label] > 0 else None


def _label_token(tokens: Sequence[Any]) -> Any:
    """The token in which the label's value begins."""
    whole = "".join(token.token for token in tokens)
    begun = re.search(r'"label"\s*:\s*"', whole)
    if begun is None:
        return None
    place = 0
    for token in tokens:
        place += len(token.token)
        if place > begun.end():
            return token
    return None
