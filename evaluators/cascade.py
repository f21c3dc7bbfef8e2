"""The cascade, cheap to dear: rules, heuristics, then judges, each a step with a rule for when to stop.

A step ends it where its evaluator is sure (confidence 1) or its calibrated P(hallucinated) lies outside its band.
Otherwise the last step decides. With a judge, nobody cheaper decides in the last one's place, but when its budget is
spent: while it cannot be asked the verdict is PENDING, and an unusable answer makes it UNSCORED.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from evaluators.base import Artifact, AskingEvaluator, OfflineEvaluator, Outcome, missing, score_bin, silent
from tidegauge.domain import (
    HALLUCINATION,
    UNSCORED_BIN,
    Calibration,
    EvaluationState,
    Request,
    Score,
    Value,
    Verdict,
    VerdictCache,
)


class Step(Value, frozen=True, kw_only=True):
    """An evaluator and its band: it ends the cascade at or below `stop_below`, and at or above `stop_above`."""

    evaluator: OfflineEvaluator | AskingEvaluator
    stop_below: float | None = None
    stop_above: float | None = None


GUARDED = 0.7
INJECTION = "injection"
"""Why a verdict is none: the request's texts speak to the judge."""


SURE = "sure"
SHED = "shed"


class Stop(NamedTuple):
    """Which step ended the cascade, and why."""

    place: int
    why: str


class Begun(NamedTuple):
    """What the evaluators that ask nobody said, and the verdict where it needs no judge."""

    scores: tuple[Score, ...]
    verdict: Verdict | None
    content: str
    cached: dict[str, Score]


class _NoCache:
    def look_up(self, content: str, evaluator_hashes: Sequence[str]) -> dict[str, Score]:
        return {}


class Cascade:
    """Made in the process that uses it. Offline steps come first; `calibration` may be replaced at any time."""

    def __init__(
        self,
        offline: Sequence[Step],
        judges: Sequence[Step] = (),
        *,
        guard: OfflineEvaluator | None = None,
        cache: VerdictCache | None = None,
        calibration: Calibration | None = None,
        indicator: str = HALLUCINATION,
    ) -> None:
        """`guard` looks at every request first; one that it scores from `GUARDED` on is left to people."""
        self._offline = tuple(offline)
        self._judges = tuple(judges)
        self._guard = guard
        self._cache = cache or _NoCache()
        self.calibration = calibration
        self.indicator = indicator

    @property
    def evaluators(self) -> tuple[OfflineEvaluator, ...]:
        """Those that ask nobody."""
        return tuple(step.evaluator for step in self._offline)  # type: ignore[misc]  # by construction

    @property
    def judges(self) -> tuple[AskingEvaluator, ...]:
        """Those that ask somebody, in the order in which they are asked."""
        return tuple(step.evaluator for step in self._judges)  # type: ignore[misc]  # by construction

    @property
    def has_bands(self) -> bool:
        """Whether any step ends the cascade by its calibrated score."""
        return any(s.stop_below is not None or s.stop_above is not None for s in (*self._offline, *self._judges))

    def artifacts(self) -> tuple[Artifact, ...]:
        """Everything whose content hash verdicts rest on."""
        everybody = (*([self._guard] if self._guard else []), *self.evaluators, *self.judges)
        found = [Artifact("evaluator", e.name, e.version, e.content_hash) for e in everybody]
        rubrics = {}
        for judge in self.judges:
            for rubric in getattr(judge, "rubrics", ()):
                rubrics[rubric.reference] = Artifact("rubric", rubric.name, rubric.version, rubric.content_hash)
        return (*found, *rubrics.values())

    def evaluate_offline(self, request: Request) -> Verdict:
        """The verdict of those that ask nobody, as if there were no judge."""
        flagged = self._flagged(request)
        if flagged is not None:
            return flagged
        scores, stop = self._score_offline(request, everyone=False)
        return self._offline_verdict(request, scores, stop)

    def begin(self, request: Request, *, everyone: bool = False) -> Begun:
        """Runs those that ask nobody. `everyone`: all, and the judges anew, whatever would have spared them."""
        flagged = self._flagged(request)
        if flagged is not None:
            others = self._score_offline(request, everyone=True)[0] if everyone else ()
            return Begun(flagged.scores, msgspec.structs.replace(flagged, scores=(*flagged.scores, *others)), "", {})
        scores, stop = self._score_offline(request, everyone=everyone)
        if not self._judges or (stop and not everyone):
            return Begun(scores, self._offline_verdict(request, scores, stop), "", {})
        content = content_of(request)
        hashes = [judge.content_hash for judge in self.judges]
        cached = {} if everyone else self._cache.look_up(content, hashes)
        return Begun(scores, None, content, cached)

    def spare(self, request: Request, begun: Begun) -> Begun:
        """The same with a verdict: the cheaper steps' one where a judge would be asked."""
        if begun.verdict is not None:
            return begun
        return begun._replace(verdict=self._without_judge(request, begun.scores, begun, SHED))

    async def finish(self, request: Request, begun: Begun, *, everyone: bool = False) -> Verdict:
        """Asks the judges in turn; the verdict. Never raises but when cancelled."""
        scores = begun.scores
        for place, step in enumerate(self._judges):
            outcome = await self._ask(step, request, begun)
            last = place == len(self._judges) - 1
            if outcome.spent:
                return self._without_judge(request, (*scores, outcome.score), begun, "budget spent")
            scores = (*scores, outcome.score)
            stop = outcome.state is EvaluationState.JUDGED and self._stops(step, request, outcome.score)
            if last or (stop and not everyone):
                return self._verdict(
                    request,
                    scores,
                    len(scores) - 1,
                    state=outcome.state,
                    edges=step.evaluator.edges,
                    why=stop or "last step",
                    content=begun.content,
                )
        raise AssertionError("a cascade without judges has nothing to finish")

    def abandoned(self, request: Request, begun: Begun) -> Verdict:
        """What stands for a call that hangs beyond every deadline: the sample stays pending."""
        said = silent(self.judges[0], "pending: the call hung and was abandoned")
        return self._verdict(
            request,
            (*begun.scores, said),
            len(begun.scores),
            state=EvaluationState.PENDING,
            edges=self.judges[0].edges,
            why="hung",
            content=begun.content,
        )

    def _flagged(self, request: Request) -> Verdict | None:
        """The verdict of the guard: no machine's word would be enough."""
        if self._guard is None:
            return None
        said = self._guard.evaluate(request)
        if said.score is None or said.score < GUARDED:
            return None
        said = msgspec.structs.replace(said, reason=f"{INJECTION}: {said.reason}")
        state = EvaluationState.UNSCORED
        return self._verdict(request, (said,), 0, state=state, edges=self._guard.edges, why=INJECTION, content="")

    async def _ask(self, step: Step, request: Request, begun: Begun) -> Outcome:
        judge = step.evaluator
        known = begun.cached.get(judge.content_hash)
        if known is not None:
            return Outcome(state=EvaluationState.JUDGED, score=known)
        lacking = missing(judge, request)
        if lacking:
            return Outcome(state=EvaluationState.UNSCORED, score=silent(judge, lacking))
        outcome: Outcome = await judge.evaluate(request)  # type: ignore[misc]  # by construction
        return outcome

    def _score_offline(self, request: Request, *, everyone: bool) -> tuple[tuple[Score, ...], Stop | None]:
        """Scores, and where and why it stopped.

        Only a sure step spares the other offline ones: which of them score may not depend on labels, since their scores
        are part of the canonical dump. A step outside its band decides, and spares the judges.
        """
        scores: tuple[Score, ...] = ()
        stop: Stop | None = None
        for place, step in enumerate(self._offline):
            evaluator = step.evaluator
            lacking = missing(evaluator, request)
            said: Score = silent(evaluator, lacking) if lacking else evaluator.evaluate(request)  # type: ignore[assignment]
            scores += (said,)
            why = self._stops(step, request, said)
            if why and stop is None:
                stop = Stop(place, why)
            if why == SURE and not everyone:
                break
        return scores, stop

    def _stops(self, step: Step, request: Request, score: Score) -> str:
        """Why a step ends the cascade; empty where it does not."""
        if score.score is None:
            return ""
        if score.confidence >= 1:
            return SURE
        if (step.stop_below is None and step.stop_above is None) or self.calibration is None:
            return ""
        p = self.calibration.probability(score.content_hash, request.intent, score.score)
        if p is None:
            return ""
        below = step.stop_below is not None and p <= step.stop_below
        above = step.stop_above is not None and p >= step.stop_above
        return "outside the band" if below or above else ""

    def _offline_verdict(self, request: Request, scores: tuple[Score, ...], stop: Stop | None) -> Verdict:
        """By the one that stopped it, else the last that scored."""
        place = stop.place if stop else self._decisive(scores)
        score = scores[place].score
        return self._verdict(
            request,
            scores,
            place,
            state=EvaluationState.UNSCORED if score is None else EvaluationState.JUDGED,
            edges=self._offline[place].evaluator.edges,
            why=stop.why if stop else "last step",
            content="",
        )

    @staticmethod
    def _decisive(scores: tuple[Score, ...]) -> int:
        scored = [i for i, s in enumerate(scores) if s.score is not None]
        sure = [i for i in scored if scores[i].confidence >= 1]
        return (sure or scored[-1:] or [len(scores) - 1])[0]

    def _without_judge(self, request: Request, scores: tuple[Score, ...], begun: Begun, why: str) -> Verdict:
        """The cheaper steps' verdict, marked as such."""
        steps = (*self._offline, *self._judges)
        place = self._decisive(scores)
        judged = scores[place].score is not None
        verdict = self._verdict(
            request,
            scores,
            place,
            state=EvaluationState.JUDGED if judged else EvaluationState.UNSCORED,
            edges=next(s.evaluator.edges for s in steps if s.evaluator.name == scores[place].evaluator),
            why=why,
            content=begun.content,
        )
        return msgspec.structs.replace(verdict, spent=True)

    def _verdict(
        self,
        request: Request,
        scores: tuple[Score, ...],
        place: int,
        *,
        state: EvaluationState,
        edges: tuple[float, ...],
        why: str,
        content: str,
    ) -> Verdict:
        score = scores[place].score
        scored = state is EvaluationState.JUDGED and score is not None
        return Verdict(
            request_id=request.request_id,
            indicator=self.indicator,
            state=state,
            scores=scores,
            decided_by=place,
            bin=score_bin(score or 0.0, edges) if scored else UNSCORED_BIN,
            reason=scores[place].reason,
            why=why,
            content=content,
            calibration=self.calibration.id if self.calibration else "",
        )


def content_of(request: Request) -> str:
    """Hash of what evaluators see of a request: BLAKE2b, 128 bits in hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (request.intent, request.asked, request.response or "", *(c.text for c in request.contexts)):
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
