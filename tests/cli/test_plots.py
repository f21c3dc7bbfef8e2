"""Pictures: what is in them can be told apart, and without data there is none."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from evaluators.plots import shares_over_time
from tests.service.test_interlock import add_gold, answer
from tidegauge.cli import main
from tidegauge.commands import power_plot
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store

BLUE, ORANGE = (0x1F, 0x5F, 0xA8), (0xC2, 0x57, 0x0C)


def colours(path: Path) -> set[tuple[int, int, int]]:
    from matplotlib.image import imread

    pixels = (imread(path)[..., :3] * 255).round().astype(int)
    return {tuple(colour) for colour in pixels.reshape(-1, 3)}


def test_sensitivity_and_specificity_have_panels_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "new" / "health.png"
    shares_over_time(path, {"judge 1.0.0": ([0, 1, 0], [0]), "rules 1.0.0": ([], [0, 0])})
    assert {BLUE, ORANGE} <= colours(path)
    one, two = tmp_path / "one.svg", tmp_path / "two.svg"
    shares_over_time(one, {"judge 1.0.0": ([0, 1], [0, 1])})
    shares_over_time(two, {"judge 1.0.0": ([0, 1], [0, 1]), "judge 1.1.0": ([0, 1], [0, 1])})
    assert [p.read_text(encoding="utf-8").count('id="axes_') for p in (one, two)] == [2, 4]


@pytest.mark.parametrize("answered", [False, True])
def test_without_answers_no_picture_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answered: bool
) -> None:
    url, path = f"sqlite:///{tmp_path}/store.db", tmp_path / "health.svg"
    store = Store(url)
    migrate(store)
    if answered:
        add_gold(store)
        answer(store, 1, missed=0.2)
    store.close()
    assert main(["--store", url, "judge", "health", "--plot", str(path)]) == 0
    assert path.exists() is answered
    said = "wrote " if answered else "not written, no judge has answered a gold case yet"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("days", [(8.0, 12.0), (2.2, 4.5), (0.02, 300.0), (1.0, 1.0)])
def test_the_days_have_ticks_and_the_legend_covers_nothing(days: tuple[float, float]) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([10, 20], days, label="to 6.0%")
    axes.set_yscale("log")
    power_plot._tick(axes)
    power_plot._legend(axes)
    low, high = axes.get_ylim()
    assert low <= days[0] <= days[1] <= high
    assert len([tick for tick in axes.get_yticks() if low <= tick <= high]) >= 2
    figure.draw_without_rendering()
    assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0
