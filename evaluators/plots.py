"""Pictures of scores against the truth, as PNG. matplotlib is imported when one is drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegauge.slo.agreement import calibration_bins
from tidegauge.slo.drift import share_interval

_BLUE, _ORANGE, _GREY, _DARK = "#1f5fa8", "#c2570c", "#8a8a8a", "#555555"
_CLASSES = (("sensitivity", "hallucinated"), ("specificity", "faithful"))


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


def shares_over_time(
    path: Path, judges: Mapping[str, tuple[Sequence[int], Sequence[int]]], *, window: int = 50
) -> None:
    """Sensitivity and specificity over the gold answers of each judge, from errors (1) in their order.

    A row of two panels for each judge. The line is the share of right ones among the last `window`, the band the
    interval of all so far, which may be looked at any time.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 0.7 + 1.7 * len(judges)), dpi=144, layout="constrained")
    panels = figure.subplots(len(judges), 2, squeeze=False, sharey=True)
    for row, (name, classes) in zip(panels, judges.items(), strict=True):
        for axes, errors, colour in zip(row, classes, (_BLUE, _ORANGE), strict=True):
            _share_over_time(axes, errors, colour, window)
        row[0].set_ylabel("share right", fontsize=8)
        row[0].set_title(name, fontsize=9, loc="left", fontweight="bold")
        for axes, (measure, _) in zip(row, _CLASSES, strict=True):
            axes.set_title(measure, fontsize=9, loc="right", color=_DARK)
    for axes, (_, kind) in zip(panels[-1], _CLASSES, strict=True):
        axes.set_xlabel(f"{kind} gold cases answered", fontsize=8)
    figure.supxlabel(f"line: of the last {window}; band: 95 % interval of all so far", fontsize=8, color=_DARK)
    _save(figure, path)


def _share_over_time(axes: Any, errors: Sequence[int], colour: str, window: int) -> None:
    _quiet(axes)
    axes.set(ylim=(-0.02, 1.02))
    axes.tick_params(labelsize=7)
    if not errors:
        axes.set_xticks([])
        axes.text(0.5, 0.5, "no answer yet", ha="center", va="center", transform=axes.transAxes, color=_DARK, size=8)
        return
    places = range(1, len(errors) + 1)
    right = [1 - error for error in errors]
    lately = [sum(right[max(0, n - window) : n]) / min(n, window) for n in places]
    bands = [share_interval(sum(right[:n]), n) for n in places]
    axes.fill_between(places, [b.lo for b in bands], [b.hi for b in bands], color=colour, alpha=0.18, linewidth=0)
    axes.plot(places, lately, color=colour, linewidth=1.4)
    if len(errors) == 1:  # a line of one point would not be seen
        axes.errorbar(1, lately[0], [[lately[0] - bands[0].lo], [bands[0].hi - lately[0]]], fmt="o", color=colour)
    axes.set_xlim(1 if len(errors) > 1 else 0.5, max(len(errors), 2))
    axes.xaxis.get_major_locator().set_params(integer=True)


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
    _quiet(axes)
    return figure, axes


def _quiet(axes: Any) -> None:
    axes.grid(color="#e6e6e6", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None} if path.suffix.lower() == ".png" else None)
