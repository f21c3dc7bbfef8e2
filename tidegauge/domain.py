"""The words of Tidegauge: frozen values that every room uses.

Times are integers: microseconds since 1970-01-01 UTC, always event time unless the name says otherwise
(``planned_at``, ``created_at``, ``opened_at``: the injected clock). Probabilities are floats in [0, 1].
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, Protocol

import msgspec

Micros = int

SECOND: Micros = 1_000_000
MINUTE: Micros = 60 * SECOND
HOUR: Micros = 60 * MINUTE
DAY: Micros = 24 * HOUR
TEST_BLOCK: Micros = 6 * HOUR
"""Width of the UTC-aligned blocks that evidence is summed in."""

HALLUCINATION = "hallucination"
"""The one indicator so far."""

UNSCORED_BIN = 8
"""Index of the score bin for samples that no evaluator could score; 0..7 are bins of the raw score."""

Status = Literal["ok", "error", "timeout"]
ServedBy = Literal["primary", "fallback", "cache", "rule"]

TESTED_TIERS = ("primary", "cache")
"""Answers of these tiers are the deployment's own; fallback and rule are outside its test."""


class Clock(Protocol):
    def now(self) -> Micros:
        """The present, in microseconds since the epoch, UTC."""
        ...


class Value(msgspec.Struct, frozen=True):
    """Base of the frozen values."""


def iso(time: Micros) -> str:
    """RFC 3339 with milliseconds, as shown to people and machines."""
    return datetime.fromtimestamp(time / SECOND, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_block(time: Micros) -> int:
    """Number of the 6-hour UTC block that holds a time."""
    return time // TEST_BLOCK


def short_hash(*parts: str, size: int = 6) -> str:
    """Stable hexadecimal id of some strings; 2 * size digits."""
    digest = hashlib.blake2b(digest_size=size)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()


class Deployment(Value, order=True, frozen=True, kw_only=True):
    """What answered: the tuple of model, prompt and retrieval index."""

    model_version: str
    prompt_version: str
    retrieval_index: str

    @property
    def id(self) -> str:
        return _deployment_id(self.model_version, self.prompt_version, self.retrieval_index)


@lru_cache(maxsize=4096)
def _deployment_id(*parts: str) -> str:
    return short_hash(*parts)


class Context(Value, frozen=True, kw_only=True):
    """One retrieved passage."""

    text: str
    id: str | None = None
    score: float | None = None


class Message(Value, frozen=True, kw_only=True):
    role: str
    content: str | None = None


class Request(Value, frozen=True, kw_only=True):
    """One logged production request: the input contract after validation."""

    request_id: str
    timestamp: Micros
    intent: str
    deployment: Deployment
    response: str | None = None
    question: str | None = None
    messages: tuple[Message, ...] = ()
    contexts: tuple[Context, ...] = ()
    tenant: str | None = None
    feature: str | None = None
    experiment: str | None = None
    cohort: str | None = None
    provider: str | None = None
    user_id: str | None = None
    conversation_id: str | None = None
    trace_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    retrieval_latency_ms: float | None = None
    status: Status = "ok"
    served_by: ServedBy = "primary"
    feedback: Literal[-1, 0, 1] | None = None
    expected_document_ids: tuple[str, ...] = ()
    extra: dict[str, Any] = {}

    @property
    def asked(self) -> str:
        """The question; the last user message where only messages were logged; else empty."""
        if self.question is not None:
            return self.question
        return next((m.content or "" for m in reversed(self.messages) if m.role == "user"), "")


class Encoding(StrEnum):
    """How a generation lies where it lies. Ranges count bytes of the log, of the file as it is, or offsets."""

    PLAIN = "plain"
    ARCHIVE = "archive"  # born compressed, or Parquet: one block, the whole file
    ROTATED = "rotated"  # planned while plain, found again compressed
    KAFKA = "kafka"  # a partition of one topic, from its creation to its deletion


class Block(Value, frozen=True, kw_only=True):
    """The unit of work: a range of one generation of a source, as planned in the ledger."""

    generation: str
    source: str
    path: str
    encoding: Encoding
    start: int
    stop: int
    planned_at: Micros


class Sample(Value, frozen=True, kw_only=True):
    """A request chosen for judging, with the probability it was chosen with."""

    request: Request
    pi1: float
    plan: int
    sha256: str
    shed: bool = False
    """Waited too long for a judge: it keeps a cheaper verdict."""


class EvaluationState(StrEnum):
    JUDGED = "judged"  # an evaluator reached a verdict
    UNSCORED = "unscored"  # asked and answered, but nothing usable came back
    PENDING = "pending"  # could not be asked; to be tried again


class Span(Value, frozen=True, kw_only=True):
    """A piece of text that an evaluator points at, in characters from `start` up to `stop`."""

    where: Literal["response", "context"]
    start: int
    stop: int
    context: int = 0
    """Which context, where it is one."""
    note: str = ""


class Usage(Value, frozen=True, kw_only=True):
    """What asking took, over all calls for one score. An unknown cost is None, never 0."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int | None = None


class Score(Value, frozen=True, kw_only=True):
    """What one evaluator said of one request. A failure is a value: `score` is None and `reason` says why."""

    evaluator: str
    version: str
    content_hash: str
    score: float | None
    """Rises with the suspicion; its scale is the evaluator's own."""
    label: Literal["hallucinated", "faithful"] | None
    confidence: float
    reason: str
    asks: bool = False
    """Whether somebody outside the process was asked, so that a repetition may say otherwise."""
    spans: tuple[Span, ...] = ()
    """What it faults in the response, and what supports it in the contexts."""
    raw: str = ""
    """An answer that could not be used, capped."""
    answered_by: str = ""
    """Endpoint and model that answered, or `cache`."""
    usage: Usage | None = None


class Verdict(Value, frozen=True, kw_only=True):
    """The outcome of the cascade for one sample: all scores, and which of them decided."""

    request_id: str
    indicator: str = HALLUCINATION
    state: EvaluationState
    scores: tuple[Score, ...]
    decided_by: int
    """Position in `scores` of the deciding one."""
    bin: int
    """Bin of the deciding raw score, 0..7, or UNSCORED_BIN."""
    reason: str = ""
    why: str = ""
    """Why it was the last step: `sure`, `outside the band`, `last step`, `budget spent`, `shed`, `injection`, …."""
    content: str = ""
    """Hash of what evaluators see of the request: the key of the verdict cache."""
    calibration: str = ""
    """Id of the calibration that the stop rules were applied with; empty where none was."""
    spent: bool = False
    """A dearer step was due and its budget was spent."""

    @property
    def decisive(self) -> Score:
        return self.scores[self.decided_by]


class Label(Value, frozen=True, kw_only=True):
    """What one reviewer said of one request. `hallucinated` None means: cannot tell."""

    request_id: str
    hallucinated: bool | None
    """Or, of another indicator, whether the answer is bad in its sense."""
    reviewer: str
    note: str | None = None
    indicator: str = HALLUCINATION


class CaseState(StrEnum):
    QUEUED = "queued"
    LEASED = "leased"
    LABELLED = "labelled"
    UNRETURNED = "unreturned"


class ReviewCase(Value, frozen=True, kw_only=True):
    """A sample in the human-review queue, and why it is there."""

    request_id: str
    indicator: str
    intent: str
    deployment: str
    why: str
    pi: float
    priority: float
    due_at: Micros
    queued_at: Micros
    state: CaseState = CaseState.QUEUED


class Objective(Value, frozen=True, kw_only=True):
    """The SLO of one intent for one indicator."""

    indicator: str = HALLUCINATION
    intent: str
    theta0: float
    """The rate that is still good enough."""
    alpha: float = 0.001
    risk: str = "normal"
    owner: str = "platform"
    labels_per_day: float = 20
    confirmations: int = 1
    false_positive_rate: float = 0.0
    window: str = "28d"
    threshold_ms: float | None = None


class SloState(StrEnum):
    OK = "ok"
    UNKNOWN = "unknown"
    EVIDENCE_WANTED = "evidence_wanted"
    BREACH = "breach"


class IncidentState(StrEnum):
    OPEN = "open"  # see its stage
    RESOLVED = "resolved"  # the deployment lost its traffic
    CANCELLED = "cancelled"  # no breach, says a person
    HISTORICAL = "historical"  # the deployment carries no traffic any more; nobody is asked to act


class Stage(StrEnum):
    """Where the rollback of an incident is; what may follow what is in `tidegauge.service.protocol`."""

    PROPOSED = "proposed"
    APPROVED = "approved"  # waits for its turn
    SENT = "sent"  # an attempt may have been made
    ACKNOWLEDGED = "acknowledged"
    VERIFIED = "verified"  # the traffic left
    FAILED = "failed"  # somebody has to look
    CANCELLED = "cancelled"


class DeliveryState(StrEnum):
    DRY_RUN = "dry_run"  # body stored, nothing is sent
    HELD = "held"  # waits for approval
    DUE = "due"
    DELIVERED = "delivered"
    FAILED = "failed"  # given up: a dead letter
    CANCELLED = "cancelled"


class Incident(Value, frozen=True, kw_only=True):
    """A proven breach of one test key."""

    id: str
    indicator: str
    intent: str
    deployment: Deployment
    last_good: Deployment | None
    opened_at: Micros
    state: IncidentState
    evidence: dict[str, Any]


class Ticket(Value, frozen=True, kw_only=True):
    """A finding that is no reason for a rollback."""

    id: str
    kind: str
    subject: dict[str, Any]
    owner: str
    opened_at: Micros
    state: str
    evidence: dict[str, Any]


class VerdictCache(Protocol):
    """What was answered before about the same content."""

    def look_up(self, content: str, evaluator_hashes: Sequence[str]) -> dict[str, "Score"]:
        """Scores by evaluator hash, as they were given then."""
        ...


class Spending(Protocol):
    """The day's budgets of one judge, shared by all workers. Used in the judge's event loop."""

    async def reserve(self, input_tokens: int, output_tokens: int) -> bool:
        """Asks for one call of at most so many tokens, before it is made. False: a budget would be passed."""
        ...

    def settle(self, input_tokens: int, output_tokens: int, usage: "Usage | None") -> None:
        """Gives back what a reserved call did not use. None: nothing is known of it, and it counts as reserved."""
        ...


class Calibration(Protocol):
    """P(hallucinated) of raw scores, from labels that were in hand when it was made."""

    @property
    def id(self) -> str: ...

    def probability(self, evaluator_hash: str, intent: str, score: float) -> float | None:
        """None where no label says anything about this evaluator."""
        ...


class CapabilityMemory(Protocol):
    """What was learnt about endpoints, across processes."""

    def recall(self, base_url: str, model: str) -> dict[str, str]: ...

    def remember(self, base_url: str, model: str, learnt: dict[str, str]) -> None: ...


class Evaluator(Protocol):
    """One way to judge a request. Stateless between calls; everything it knows is in its content hash."""

    name: str
    version: str
    content_hash: str
    needs: frozenset[str]
    """Which of `question`, `contexts` must be present; it is skipped where they are not."""
    asks: bool
    edges: tuple[float, ...]
    """Seven inner edges of its eight score bins, ascending."""
