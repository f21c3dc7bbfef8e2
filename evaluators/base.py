"""What all evaluators share: the two protocols, content hashes and score bins."""

import hashlib
from bisect import bisect_right
from typing import Any, NamedTuple, Protocol

import msgspec

from tidegauge.domain import EvaluationState, Evaluator, Request, Score, Value


class OfflineEvaluator(Evaluator, Protocol):
    """An evaluator that asks nobody: the same request gives the same score, always."""

    def evaluate(self, request: Request) -> Score: ...


class Outcome(Value, frozen=True, kw_only=True):
    """What came of asking somebody: JUDGED and UNSCORED are answers, PENDING means that there was none."""

    state: EvaluationState
    score: Score
    spent: bool = False
    """Nobody was asked, since the day's budget is spent."""


class AskingEvaluator(Evaluator, Protocol):
    """An evaluator that asks somebody outside the process. Failures are values; it never raises."""

    @property
    def concurrency(self) -> int:
        """Requests that are worth asking about at once."""
        ...

    @property
    def deadline_seconds(self) -> float:
        """The most that passes, while it is asked, until it has finished with one of the requests in hand."""
        ...

    async def open(self) -> None:
        """Called in the event loop that will use it, before the first `evaluate`."""
        ...

    async def evaluate(self, request: Request, draw: int = 0) -> Outcome:
        """`draw`: 0 for the plain answer; 1, 2, … for further, independent ones."""
        ...

    async def close(self) -> None: ...


class Artifact(NamedTuple):
    """Something versioned whose content must not change under its version."""

    kind: str
    name: str
    version: str
    content_hash: str


def content_hash(*parts: Any) -> str:
    """BLAKE2b, 128 bits in hexadecimal, over the canonical JSON of some plain values.

    Sets and dictionaries count in sorted order.
    """
    return hashlib.blake2b(msgspec.json.encode(parts, order="deterministic"), digest_size=16).hexdigest()


def score_bin(score: float, edges: tuple[float, ...]) -> int:
    """Index of the bin that holds a score: 0 below the first edge, 7 from the last one on."""
    return bisect_right(edges, score)


def missing(evaluator: Evaluator, request: Request) -> str:
    """What the evaluator needs and the request lacks, e.g. `no contexts`; empty where nothing is missing."""
    present = {"question": bool(request.asked), "contexts": any(c.text.strip() for c in request.contexts)}
    lacking = sorted(name for name in evaluator.needs if not present[name])
    return f"no {' and no '.join(lacking)}" if lacking else ""


def silent(evaluator: Evaluator, reason: str) -> Score:
    """The score of an evaluator that has nothing to say, and why."""
    return Score(
        evaluator=evaluator.name,
        version=evaluator.version,
        content_hash=evaluator.content_hash,
        score=None,
        label=None,
        confidence=0.0,
        reason=reason,
        asks=evaluator.asks,
    )
