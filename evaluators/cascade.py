"""The cascade, cheap to dear: rules, heuristics, then a judge where one is configured.

An evaluator that is sure (confidence 1) ends it. Otherwise the last one that scored decides. With a judge, nobody else
decides in its place: while it cannot be asked the verdict is PENDING, and an unusable answer makes it UNSCORED.
"""

import difflib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from evaluators.base import Artifact, OfflineEvaluator, Outcome, missing, score_bin, silent
from evaluators.heuristics import Overlap
from evaluators.judge import Judge, JudgeSection, JudgeSettings
from evaluators.rules import Rules
from tidegauge.domain import UNSCORED_BIN, EvaluationState, Evaluator, Request, Score, Verdict
from tidegauge.errors import ConfigError

OFFLINE: dict[str, Callable[[], OfflineEvaluator]] = {"rules": Rules, "overlap": Overlap}
"""The evaluators that ask nobody, by the name that the configuration knows them by."""


class Begun(NamedTuple):
    """What the evaluators that ask nobody said, and the verdict where it needs no judge."""

    scores: tuple[Score, ...]
    verdict: Verdict | None


class Cascade:
    """Made in the process that uses it; between processes travel `names` and `JudgeSettings`."""

    def __init__(self, evaluators: Sequence[OfflineEvaluator], judge: Judge | None = None) -> None:
        self.evaluators = tuple(evaluators)
        self.judge = judge

    def artifacts(self) -> tuple[Artifact, ...]:
        """Everything whose content hash verdicts rest on."""
        everybody: tuple[Evaluator, ...] = (*self.evaluators, *([self.judge] if self.judge else []))
        found = [Artifact("evaluator", e.name, e.version, e.content_hash) for e in everybody]
        if self.judge:
            rubric = self.judge.rubric
            found.append(Artifact("rubric", rubric.name, rubric.version, rubric.content_hash))
        return tuple(found)

    def evaluate_offline(self, request: Request) -> Verdict:
        """The verdict of those that ask nobody, as if there were no judge."""
        return self._conclude_offline(request, self._scores(request, everyone=False))

    def begin(self, request: Request, *, everyone: bool = False) -> Begun:
        """Runs those that ask nobody. `everyone`: also those, and the judge, whom a sure one would have spared."""
        scores = self._scores(request, everyone=everyone)
        done = self.judge is None or (not everyone and _sure(scores))
        return Begun(scores, self._conclude_offline(request, scores) if done else None)

    def conclude(self, request: Request, scores: tuple[Score, ...], outcome: Outcome) -> Verdict:
        """The verdict once the judge was asked."""
        scored = outcome.state is EvaluationState.JUDGED and outcome.score.score is not None
        assert self.judge is not None
        return Verdict(
            request_id=request.request_id,
            state=outcome.state,
            scores=(*scores, outcome.score),
            decided_by=len(scores),
            bin=score_bin(outcome.score.score or 0.0, self.judge.edges) if scored else UNSCORED_BIN,
            reason=outcome.score.reason,
        )

    def _scores(self, request: Request, *, everyone: bool) -> tuple[Score, ...]:
        scores: tuple[Score, ...] = ()
        for evaluator in self.evaluators:
            lacking = missing(evaluator, request)
            scores += (silent(evaluator, lacking) if lacking else evaluator.evaluate(request),)
            if not everyone and _sure(scores):
                break
        return scores

    def _conclude_offline(self, request: Request, scores: tuple[Score, ...]) -> Verdict:
        scored = [i for i, s in enumerate(scores) if s.score is not None]
        sure = [i for i in scored if scores[i].confidence >= 1]
        decided = (sure or scored[-1:] or [len(scores) - 1])[0]
        score = scores[decided].score
        return Verdict(
            request_id=request.request_id,
            state=EvaluationState.UNSCORED if score is None else EvaluationState.JUDGED,
            scores=scores,
            decided_by=decided,
            bin=UNSCORED_BIN if score is None else score_bin(score, self.evaluators[decided].edges),
            reason=scores[decided].reason,
        )


def build_cascade(names: Sequence[str], judge: JudgeSection | None = None) -> Cascade:
    """The cascade of a configuration. `judge` among the names takes part where it has a base_url. Raises ConfigError.

    `judge` is the section of the configuration, or `JudgeSettings` for what the section leaves at its default.
    """
    known = [*OFFLINE, Judge.name]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"evaluation.evaluators: there is no evaluator {name!r}; {hint}")
    if len(set(names)) < len(names):
        raise ConfigError("evaluation.evaluators: an evaluator is named twice")
    if Judge.name in names and names[-1] != Judge.name:
        raise ConfigError("evaluation.evaluators: the judge comes last, it is the dearest")
    offline = [OFFLINE[name]() for name in names if name in OFFLINE]
    if not offline:
        raise ConfigError(f"evaluation.evaluators: name at least one of {', '.join(OFFLINE)}")
    settings = judge if judge is None or isinstance(judge, JudgeSettings) else JudgeSettings.of(judge)
    return Cascade(offline, Judge(settings) if settings and Judge.name in names else None)


def _sure(scores: tuple[Score, ...]) -> bool:
    return bool(scores) and scores[-1].score is not None and scores[-1].confidence >= 1
