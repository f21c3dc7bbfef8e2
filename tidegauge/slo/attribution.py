"""Which part of the deployment tuple a rise came with, and in which segments it sits.

What is compared is the *finding rate*: confirmed positives per item, each weighted to the review policy's average in
its score bin. Only people's labels enter; unlike the corrected rate it is not dominated by the few heavy audit items.

Each explanation is a grouping of the history (deployments that have a part's value against those that lack it; before
against after a moment), fitted at a fixed mix of segments, and weighed against the others by its likelihood.
References: Kass & Raftery, *Bayes factors*; Holm (1979) for the segments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from tidegauge.slo.changepoint import Step, step
from tidegauge.slo.loglinear import Fit, Floats, fit

PARTS = ("model_version", "prompt_version", "retrieval_index")

CHANGED = 4.0
"""Nats of log likelihood over no change at all from which on something changed (a false alarm in about 200)."""

CERTAIN = 0.8
"""Posterior probability from which on a part is named."""

CONCENTRATED = 0.05
"""Family-wise error rate over all segments that are looked at."""

_RELEASE = 0.8
"""Prior probability that a rise came with one part of a release; the rest is shared by moments and a slow drift."""

_SLOPES = np.geomspace(0.5, 12, 16)
"""Drifts that are tried: log of the level at the end over that at the beginning."""

_EXPLAINED = 3
"""A mix is called the reason of a rise of which it explains at least this part, one third, on the log scale."""

_FACTOR = 1.5
"""How many times more a segment must have risen than the rest, to be named."""


@dataclass(frozen=True)
class History:
    """Sums by deployment, block and stratum, shape (deployments, blocks, strata); deployments in order of arrival.

    `found` are weighted findings, `exposure` weighted items; `dispersion` is the variance of findings over their mean.
    """

    deployments: Sequence[tuple[str, str, str]]
    found: Floats
    exposure: Floats
    dispersion: float = 1.0


@dataclass(frozen=True)
class Explanation:
    """One way to tell the history. `gain` is its log likelihood over that of no change, in nats."""

    parts: tuple[str, ...]
    """Parts whose change it is; several where the history has them change together; none for a moment or a drift."""
    kind: str
    """`release`, `moment` or `drift`."""
    gain: float
    rise: float
    having: frozenset[int] = frozenset()
    probability: float = 0.0


@dataclass(frozen=True)
class Findings:
    """`mix_only`: the finding rate rose, at a fixed mix of segments nothing changed, and the mix explains the rise."""

    changed: bool
    explanations: Sequence[Explanation]
    mix_only: bool = False
    mix_factor: float = 1.0
    """By how much the segments' mix alone moves the rate of the bad side over that of the good one."""
    since: Step | None = None
    bad: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))
    """Shape (deployments, blocks): which part of the history the best explanation calls bad."""

    @property
    def best(self) -> Explanation | None:
        return self.explanations[0] if self.explanations else None

    @property
    def part(self) -> str | None:
        """The part that is named; None where the history does not tell."""
        best = self.best
        told = self.changed and best is not None and len(best.parts) == 1 and best.probability >= CERTAIN
        return best.parts[0] if told and best else None


def attribute(history: History, suspect: int) -> Findings:
    """What the history says of the rise that the deployment at place `suspect` suffers from."""
    explanations = _weighed(history, suspect)
    changed = bool(explanations) and explanations[0].gain >= CHANGED
    flat = History(
        history.deployments,
        history.found.sum(axis=2, keepdims=True),
        history.exposure.sum(axis=2, keepdims=True),
        history.dispersion,
    )
    if changed:
        since = _step(history)
        bad = _side(history, explanations[0], suspect, since)
        return Findings(True, explanations, False, _mix_factor(history, bad), since, bad)
    raw = _weighed(flat, suspect)
    if raw and raw[0].gain >= CHANGED:
        since = _step(flat)
        bad = _side(history, raw[0], suspect, since)
        factor = _mix_factor(history, bad)
        if factor**_EXPLAINED >= _rise(flat, bad):
            return Findings(False, raw, True, factor, since, bad)
    bad = _side(history, None, suspect, None)
    return Findings(False, [], False, _mix_factor(history, bad), None, bad)


def _weighed(history: History, suspect: int) -> list[Explanation]:
    """Explanations with a rise, the likeliest first."""
    found = [*_releases(history, suspect), *_moments(history)]
    found = [e for e in found if e.gain > 0]
    weights = [exp(min(e.gain, 600.0)) * _prior(e) for e in found]
    total = sum(weights) or 1.0
    weighed = [
        Explanation(e.parts, e.kind, float(e.gain), e.rise, e.having, float(w / total))
        for e, w in zip(found, weights, strict=True)
    ]
    return sorted(weighed, key=lambda e: -e.probability)


def _prior(explanation: Explanation) -> float:
    if explanation.kind == "release":
        return _RELEASE * max(len(explanation.parts), 0.5) / len(PARTS)
    return (1 - _RELEASE) / 2


def _releases(history: History, suspect: int) -> list[Explanation]:
    """One explanation per grouping that a part's value, or the suspect alone, makes of the history."""
    groups: dict[frozenset[int], list[str]] = {}
    present = {d for d in range(len(history.deployments)) if history.exposure[d].sum() > 0}
    for place, part in enumerate(PARTS):
        value = history.deployments[suspect][place]
        having = frozenset(d for d in present if history.deployments[d][place] == value)
        if having and having != present:
            groups.setdefault(having, []).append(part)
    if len(present) > 1:
        groups.setdefault(frozenset({suspect}), [])
    by_deployment = history.found.sum(axis=1), history.exposure.sum(axis=1)
    none = _two(*by_deployment, frozenset()).log_likelihood
    explanations = []
    for having, parts in groups.items():
        two = _two(*by_deployment, having)
        low, high = two.levels
        gain = (float(two.log_likelihood - none)) / history.dispersion
        if high > low:
            rise = high / low if low > 0 else float("inf")
            explanations.append(Explanation(tuple(parts), "release", gain, float(rise), having))
    return explanations


def _two(found: Floats, exposure: Floats, having: frozenset[int]) -> Fit:
    """Two groups of deployments; one where the second is empty."""
    inside = np.isin(np.arange(found.shape[0]), sorted(having))
    if not having:
        return fit(found.sum(axis=0, keepdims=True), exposure.sum(axis=0, keepdims=True))
    return fit(*(np.stack([t[~inside].sum(axis=0), t[inside].sum(axis=0)]) for t in (found, exposure)))


def _moments(history: History) -> list[Explanation]:
    """A step at some block, whatever was released, and a steady drift. The likelihood of the step is averaged over
    the moments, so that having many to choose from is no advantage."""
    found, exposure = history.found.sum(axis=0), history.exposure.sum(axis=0)
    moved = step(found, exposure, history.dispersion)
    explanations = []
    if moved is not None:
        gain = float(np.logaddexp.reduce(moved.gains)) - log(moved.gains.size)
        explanations.append(Explanation((), "moment", gain, float("nan")))
    gain, slope = _drift(found, exposure)
    explanations.append(Explanation((), "drift", gain / history.dispersion, exp(slope)))
    return explanations


def _drift(found: Floats, exposure: Floats) -> tuple[float, float]:
    """Gain of the best exponential drift over none, and its slope over the whole history."""
    time = np.linspace(0, 1, found.shape[0])
    none = fit(found.sum(axis=0, keepdims=True), exposure.sum(axis=0, keepdims=True)).log_likelihood
    best = (0.0, 0.0)
    for slope in _SLOPES:
        growth = np.exp(slope * (time - 0.5))
        # With the growth moved into the exposure one group is left; what the findings gain by it is added below.
        grown = fit(found.sum(axis=0, keepdims=True), (exposure * growth[:, None]).sum(axis=0, keepdims=True))
        gain = float(grown.log_likelihood - none) + slope * float(found.sum(axis=1) @ (time - 0.5))
        best = max(best, (gain, float(slope)))
    return best


def _step(history: History) -> Step | None:
    return step(history.found.sum(axis=0), history.exposure.sum(axis=0), history.dispersion)


def _side(history: History, best: Explanation | None, suspect: int, since: Step | None) -> NDArray[np.bool_]:
    """The bad side: the deployments with the part, else all from the change point on; the suspect if nothing rose."""
    bad = np.zeros(history.found.shape[:2], dtype=bool)
    if best is not None and best.kind != "release" and since is not None:
        bad[:, since.at :] = True
    else:
        bad[sorted(best.having) if best and best.having else [suspect]] = True
    return bad


def _rise(history: History, bad: NDArray[np.bool_]) -> float:
    """Findings per item on the bad side over those on the good one."""
    good = history.found[~bad].sum() / max(float(history.exposure[~bad].sum()), 1e-9)
    worse = history.found[bad].sum() / max(float(history.exposure[bad].sum()), 1e-9)
    return float(worse / good) if good > 0 else float("inf")


def _mix_factor(history: History, bad: NDArray[np.bool_]) -> float:
    """Mean rate of the strata over the bad side's items by that over the good side's."""
    sides = [history.exposure[side].sum(axis=0) for side in (~bad, bad)]
    if not all(side.sum() > 0 for side in sides):
        return 1.0
    rates = fit(np.stack([history.found[side].sum(axis=0) for side in (~bad, bad)]), np.stack(sides)).rates
    good, worse = (float(side @ rates / side.sum()) for side in sides)
    return worse / good if good > 0 else 1.0


@dataclass(frozen=True)
class Segment:
    """Findings and exposure of one value of a dimension on both sides of the change."""

    dimension: str
    value: str
    found_before: float
    exposure_before: float
    found_after: float
    exposure_after: float


@dataclass(frozen=True)
class Concentration:
    """A segment that rose more than the rest of its dimension. `p` is adjusted for all segments that were looked at."""

    segment: Segment
    p: float
    share: float
    """Of the findings after the change."""


def concentrated(segments: Sequence[Segment], dispersion: float = 1.0) -> list[Concentration]:
    """Segments that rose by a larger factor than the rest of their dimension did.

    One-sided Wald tests of the log ratio of the two factors, by Holm's procedure over all segments.
    """
    by_dimension: dict[str, list[Segment]] = {}
    for segment in segments:
        by_dimension.setdefault(segment.dimension, []).append(segment)
    tested = [(*_excess(row, rows, dispersion), row) for rows in by_dimension.values() if len(rows) > 1 for row in rows]
    tested.sort(key=lambda entry: entry[0])
    found, adjusted = [], 0.0
    for place, (p, factor, segment) in enumerate(tested):
        adjusted = max(adjusted, min(p * (len(tested) - place), 1.0))
        if adjusted > CONCENTRATED:
            break
        if factor >= _FACTOR and segment.found_after > 0:
            total = sum(row.found_after for row in by_dimension[segment.dimension])
            found.append(Concentration(segment, adjusted, segment.found_after / total))
    return found


def _excess(segment: Segment, dimension: Sequence[Segment], dispersion: float) -> tuple[float, float]:
    """p of the segment's rise against the rest's, and by how much it is the larger one. Half a finding is added to
    each of the four counts (Haldane, Anscombe), so that none is empty."""
    rest = [row for row in dimension if row is not segment]
    counts = np.array(
        [
            segment.found_after,
            segment.found_before,
            sum(row.found_after for row in rest),
            sum(row.found_before for row in rest),
        ]
    )
    at_risk = np.array(
        [
            segment.exposure_after,
            segment.exposure_before,
            sum(row.exposure_after for row in rest),
            sum(row.exposure_before for row in rest),
        ]
    )
    if at_risk.min() <= 0:
        return 1.0, 1.0
    logs = np.log((counts + 0.5) / at_risk)
    excess = float(logs[0] - logs[1] - logs[2] + logs[3])
    deviation = float(np.sqrt(dispersion * np.sum(1 / (counts + 0.5))))
    return float(ndtr(-excess / deviation)), exp(excess)
