"""Pictures of scores against the truth, as PNG. matplotlib is imported when one is drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegauge.slo.agreement import calibration_bins
from tidegauge.slo.drift import share_interval

_BLUE, _GREEN, _GREY = "#1f5fa8", "#2e7d4f", "#8a8a8a"


def reliability(
    path: Path, predicted: Sequence[float], truth: Sequence[bool], *, title: str, weights: Sequence[float] | None = None
) -> None:
    """Mean prediction against true share, by tenths; the area of a point is the number of its items."""
    found = calibration_bins(predicted, truth, weights or [1.0] * len(predicted))
    figure, axes = _square(title, "predicted P(hallucinated)", "share hallucinated")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--", label="calibrated")
    axes.plot([b.predicted for b in found], [b.share for b in found], color=_BLUE, linewidth=1.5, zorder=2)
    most = max((b.items for b in found), default=1)
    axes.scatter(
        [b.predicted for b in found],
        [b.share for b in found],
        s=[20 + 180 * b.items / most for b in found],
        color=_BLUE,
        alpha=0.8,
        zorder=3,
        label="tenths of the scores",
    )
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    _save(figure, path)


def roc(path: Path, curves: Mapping[str, tuple[Sequence[float], Sequence[bool]]], *, title: str) -> None:
    """Receiver operating characteristic of each named (scores, truth)."""
    figure, axes = _square(title, "false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--")
    for name, (scores, truth) in curves.items():
        axes.plot(*_roc_points(scores, truth), linewidth=1.5, label=name)
    if curves:
        axes.legend(loc="lower right", frameon=False, fontsize=8)
    _save(figure, path)


def shares_over_time(path: Path, judges: Mapping[str, Mapping[str, Sequence[int]]], *, window: int = 50) -> None:
    """Sensitivity and specificity over the gold answers of each judge, from errors (1) in their order.

    The line is the share of right ones among the last `window`, the band the interval of all so far, which may be
    looked at any time.
    """
    figure, axes = _square("gold cases", "answers to cases of the class", "share right")
    axes.set(aspect="auto")
    axes.autoscale(axis="x")
    for name, measures in judges.items():
        for (measure, errors), color in zip(measures.items(), (_BLUE, _GREEN), strict=True):
            places = range(1, len(errors) + 1)
            right = [1 - error for error in errors]
            lately = [sum(right[max(0, n - window) : n]) / min(n, window) for n in places]
            bands = [share_interval(sum(right[:n]), n) for n in places]
            low, high = [band.lo for band in bands], [band.hi for band in bands]
            axes.fill_between(places, low, high, color=color, alpha=0.12, linewidth=0)
            axes.plot(places, lately, color=color, linewidth=1.4, label=f"{name} {measure}")
    if judges:
        axes.legend(loc="lower right", frameon=False, fontsize=7)
    _save(figure, path)


def _roc_points(scores: Sequence[float], truth: Sequence[bool]) -> tuple[list[float], list[float]]:
    positives = sum(truth)
    negatives = len(truth) - positives
    false, true = [0.0], [0.0]
    hits = alarms = 0
    ordered = sorted(zip(scores, truth, strict=True), key=lambda pair: -pair[0])
    for place, (score, positive) in enumerate(ordered):
        hits += positive
        alarms += not positive
        if place + 1 == len(ordered) or ordered[place + 1][0] != score:
            false.append(alarms / negatives if negatives else 0.0)
            true.append(hits / positives if positives else 0.0)
    return false, true


def _square(title: str, x: str, y: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 4.2), dpi=144, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.title.set_fontsize(9)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
