"""Several opinions instead of one: a panel of judges that vote, and one judge that is asked again where it wavers."""

import asyncio
from collections.abc import Sequence

import msgspec

from evaluators.base import AskingEvaluator, Outcome, content_hash, silent
from tidegauge.domain import EvaluationState, Request, Score, Usage

VERSION = "1.0.0"
DISAGREEMENT = 0.5
"""The most confidence that a divided vote can have."""


class Panel:
    """The majority's label, the mean of the scores. More than half of the members must have answered."""

    needs: frozenset[str] = frozenset()
    asks = True

    def __init__(self, name: str, members: Sequence[AskingEvaluator], *, everybody: bool = False) -> None:
        """`everybody`: no answer stands while a member could not be asked, though the others are a majority."""
        self.name = name
        self.members = tuple(members)
        self._everybody = everybody
        self.edges = members[0].edges
        self.version = f"{VERSION}+" + "+".join(f"{m.name}:{m.version}" for m in members)
        self.content_hash = content_hash("panel", VERSION, [m.content_hash for m in members])
        self.rubrics = tuple(rubric for m in members for rubric in getattr(m, "rubrics", ()))

    @property
    def concurrency(self) -> int:
        return min(m.concurrency for m in self.members)

    @property
    def deadline_seconds(self) -> float:
        return max(m.deadline_seconds for m in self.members)

    async def open(self) -> None:
        for member in self.members:
            await member.open()

    async def close(self) -> None:
        for member in self.members:
            await member.close()

    async def evaluate(self, request: Request, draw: int = 0) -> Outcome:
        outcomes = await asyncio.gather(*(m.evaluate(request, draw) for m in self.members))
        return counted(self, outcomes, everybody=self._everybody)


class Repeated:
    """One judge; where its score lies within a band it is asked again, and the votes are counted."""

    asks = True

    def __init__(
        self, judge: AskingEvaluator, votes: int, uncertain: tuple[float, float], *, everybody: bool = False
    ) -> None:
        """`everybody`: no answer stands while one of the votes could not be asked for."""
        self._judge, self._votes, self._uncertain, self._everybody = judge, votes, uncertain, everybody
        self.name, self.needs, self.edges = judge.name, judge.needs, judge.edges
        self.version = f"{judge.version}+{votes} votes"
        self.content_hash = content_hash("repeated", VERSION, judge.content_hash, votes, uncertain)
        self.rubrics = getattr(judge, "rubrics", ())

    @property
    def concurrency(self) -> int:
        return self._judge.concurrency

    @property
    def deadline_seconds(self) -> float:
        return 2 * self._judge.deadline_seconds

    async def open(self) -> None:
        await self._judge.open()

    async def close(self) -> None:
        await self._judge.close()

    async def evaluate(self, request: Request, draw: int = 0) -> Outcome:
        first = await self._judge.evaluate(request, draw)
        low, high = self._uncertain
        if first.score.score is None or not low <= first.score.score <= high:
            return counted(self, [first])
        again = (self._judge.evaluate(request, draw + n) for n in range(1, self._votes))
        return counted(self, [first, *await asyncio.gather(*again)], everybody=self._everybody)


def counted(who: AskingEvaluator, outcomes: Sequence[Outcome], *, everybody: bool = False) -> Outcome:
    """One outcome of several, in the name of `who`."""
    usage = _usage([o.score for o in outcomes])
    said = [o.score for o in outcomes if o.state is EvaluationState.JUDGED and o.score.score is not None]
    if 2 * len(said) <= len(outcomes) or (everybody and any(map(_unasked, outcomes))):
        return _no_majority(who, outcomes, usage)
    flagged = [s for s in said if s.label == "hallucinated"]
    mean = sum(s.score or 0.0 for s in said) / len(said)
    hallucinated = 2 * len(flagged) > len(said) or (2 * len(flagged) == len(said) and mean >= 0.5)
    majority = flagged if hallucinated else [s for s in said if s.label != "hallucinated"]
    confidence = sum(s.confidence for s in majority) / len(said)
    divided = len(majority) < len(said)
    reason = majority[0].reason if majority else said[0].reason
    return Outcome(
        state=EvaluationState.JUDGED,
        score=Score(
            evaluator=who.name,
            version=who.version,
            content_hash=who.content_hash,
            score=mean,
            label="hallucinated" if hallucinated else "faithful",
            confidence=min(confidence, DISAGREEMENT) if divided else confidence,
            reason=f"{len(majority)} of {len(said)} agree: {reason}" if len(outcomes) > 1 else reason,
            asks=True,
            spans=tuple(dict.fromkeys(span for s in majority for span in s.spans)),
            answered_by=", ".join(dict.fromkeys(s.answered_by for s in said if s.answered_by)),
            usage=usage,
        ),
    )


def _no_majority(who: AskingEvaluator, outcomes: Sequence[Outcome], usage: Usage | None) -> Outcome:
    """Worth another try where somebody could not be asked, else unscored; spent where a budget is the reason."""
    missing = sorted((o for o in outcomes if o.score.score is None), key=_unasked, reverse=True)
    spent = any(o.spent for o in missing)
    pending = any(o.state is EvaluationState.PENDING for o in missing)
    return Outcome(
        state=EvaluationState.PENDING if pending and not spent else EvaluationState.UNSCORED,
        score=msgspec.structs.replace(silent(who, missing[0].score.reason), usage=usage),
        spent=spent,
    )


def _unasked(outcome: Outcome) -> bool:
    """Whether it says nothing of the record: the judge was away, or its budget was spent."""
    return outcome.spent or outcome.state is EvaluationState.PENDING


def _usage(scores: Sequence[Score]) -> Usage | None:
    """The sum; its cost is unknown where a part's is."""
    parts = [s.usage for s in scores if s.usage is not None]
    if not parts:
        return None
    costs = [p.cost_nano_usd for p in parts]
    return Usage(
        calls=sum(p.calls for p in parts),
        input_tokens=sum(p.input_tokens for p in parts),
        output_tokens=sum(p.output_tokens for p in parts),
        cost_nano_usd=None if None in costs else sum(c for c in costs if c is not None),
    )
