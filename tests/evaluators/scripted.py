"""Evaluators with scripted answers, for tests of who is asked and what becomes of it."""

from collections.abc import Sequence

from evaluators.base import Outcome, content_hash, silent
from tidegauge.domain import EvaluationState, Request, Score, Usage

EDGES = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)


def outcome(score: float | None, state: EvaluationState = EvaluationState.JUDGED, **more: object) -> Outcome:
    """An answer; its evaluator's name is set by who gives it."""
    said = Score(
        evaluator="",
        version="1",
        content_hash="",
        score=score,
        label=None if score is None else "hallucinated" if score >= 0.5 else "faithful",
        confidence=0.0 if score is None else max(score, 1 - score),
        reason="scripted" if score is not None else "no answer",
        asks=True,
        usage=Usage(calls=1, input_tokens=10, output_tokens=2, cost_nano_usd=7),
    )
    return Outcome(state=state, score=said, **more)  # type: ignore[arg-type]


class Scripted:
    """Gives its outcomes one after the other, the last one for ever; `asked` counts."""

    needs: frozenset[str] = frozenset()
    asks = True
    edges = EDGES
    concurrency = 4
    deadline_seconds = 1.0
    version = "1"

    def __init__(self, name: str, *outcomes: Outcome) -> None:
        self.name = name
        self.content_hash = content_hash("scripted", name)
        self.asked = 0
        self._outcomes = list(outcomes)

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def evaluate(self, request: Request, draw: int = 0) -> Outcome:
        self.asked += 1
        said = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        score = Score(
            **{f: getattr(said.score, f) for f in said.score.__struct_fields__}
            | {"evaluator": self.name, "content_hash": self.content_hash}
        )
        return Outcome(state=said.state, score=score, spent=said.spent)


class Fixed:
    """An evaluator that asks nobody and always gives one score."""

    needs: frozenset[str] = frozenset()
    asks = False
    edges = EDGES
    version = "1"

    def __init__(self, name: str, score: float | None, confidence: float = 0.6) -> None:
        self.name, self._score, self._confidence = name, score, confidence
        self.content_hash = content_hash("fixed", name)

    def evaluate(self, request: Request) -> Score:
        if self._score is None:
            return silent(self, "nothing to say")
        return Score(
            evaluator=self.name,
            version=self.version,
            content_hash=self.content_hash,
            score=self._score,
            label="hallucinated" if self._score >= 0.5 else "faithful",
            confidence=self._confidence,
            reason="fixed",
        )


class Remembered:
    """A verdict cache with some scores in it."""

    def __init__(self, *scores: Score) -> None:
        self._scores = scores

    def look_up(self, content: str, evaluator_hashes: Sequence[str]) -> dict[str, Score]:
        return {s.content_hash: s for s in self._scores if s.content_hash in evaluator_hashes}


class Calibrated:
    """The raw score is the probability, but for those that nothing is known of."""

    id = "test"

    def __init__(self, *unknown: str) -> None:
        self._unknown = unknown

    def probability(self, evaluator_hash: str, intent: str, score: float) -> float | None:
        return None if evaluator_hash in self._unknown else score
