"""The picture of `tidegauge power`."""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegauge.errors import TidegaugeError, UsageError

if TYPE_CHECKING:
    from tidegauge.service.power import Known
    from tidegauge.slo.power import Delay

_SHOWN = 4
_BUDGETS = (0.5, 1, 2, 4, 8)
_TICKS = tuple(digit * 10.0**power for power in range(-2, 3) for digit in (1, 2, 5))
_COLOURS = ("#4477aa", "#aa7700", "#cc3311")


def check(path: Path) -> None:
    """Raises UsageError before anything is simulated."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UsageError(f"--plot {path}: must end in .png, .svg or .pdf")


def draw(path: Path, intents: "Sequence[tuple[Known, Sequence[Delay]]]") -> None:
    """A row of two panels for each of the first four intents: who is seen by when, and what labels buy."""
    from matplotlib.figure import Figure

    shown = intents[:_SHOWN]
    figure = Figure(figsize=(9.6, 3.4 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 2, squeeze=False)
    for (seen, bought), (known, delays) in zip(panels, shown, strict=True):
        _seen(seen, known, delays)
        _bought(bought, known)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise TidegaugeError(f"{path}: cannot be written: {error.strerror}") from None


def _seen(axes: Any, known: "Known", delays: "Sequence[Delay]") -> None:
    from tidegauge.slo.power import HORIZON

    for one, colour in zip(delays, _COLOURS, strict=True):
        share = [(place + 1) / len(one.days) for place in range(len(one.days))]
        days = [(day, part) for day, part in zip(one.days, share, strict=True) if isfinite(day)]
        x, y = [0.0, *(day for day, _ in days), HORIZON], [0.0, *(part for _, part in days), one.seen]
        axes.step(x, y, where="post", color=colour, label=f"{known.situation.before:.1%} to {one.rate:.1%}")
    axes.set(xlabel="days after a bad release", ylabel="rolled back", ylim=(0, 1.02), xlim=(0, HORIZON))
    axes.set_title(
        f"{'all intents' if known.intent == '*' else known.intent}: {known.situation.labels:g} labels a day",
        fontsize="medium",
    )
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    _legend(axes)


def _bought(axes: Any, known: "Known") -> None:
    from tidegauge.slo.power import RISES, delay

    situation = known.situation
    budgets = sorted({min(factor * situation.labels, situation.judged) for factor in _BUDGETS})
    for rise, colour in zip(RISES[1:], _COLOURS[1:], strict=True):
        found = [delay(replace(situation, labels=labels), rise).median_days for labels in budgets]
        points = [(labels, days) for labels, days in zip(budgets, found, strict=True) if isfinite(days)]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=f"to {rise * situation.theta0:.1%}")
    axes.axvline(situation.labels, color="0.7", linewidth=1)
    axes.set(xlabel="labels a day", ylabel="days until rollback (median)", xscale="log", yscale="log")
    axes.set_xticks(budgets, [f"{labels:.0f}" for labels in budgets])
    axes.minorticks_off()
    _tick(axes)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_title(f"{situation.judged:.0f} judged a day", fontsize="medium")
    _legend(axes)


def _tick(axes: Any) -> None:
    """Whole ticks around the curves, at least two: a logarithmic axis by itself may have one."""
    low, high = axes.get_ylim()
    first = max((tick for tick in _TICKS if tick <= low), default=_TICKS[0])
    last = min((tick for tick in _TICKS if tick >= high), default=_TICKS[-1])
    axes.set_ylim(first, last)
    axes.set_yticks([tick for tick in _TICKS if first <= tick <= last])


def _legend(axes: Any) -> None:
    """Below the panel, where it covers nothing."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, frameon=False, fontsize="small")
