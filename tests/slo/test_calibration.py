"""Scores that mean something."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.slo.calibration import Bin, Labelled, bins, isotonic, shrunk

EDGES = (0.25, 0.5, 0.75)


def sample(n: int, seed: int, biased: bool) -> list[Labelled]:
    """Labels with P(1 | score) = score squared; `biased`: positives are reviewed with certainty, others rarely."""
    rng = random.Random(seed)
    found = []
    while len(found) < n:
        score = rng.random()
        y = int(rng.random() < score**2)
        pi = 1.0 if biased and y else 0.2
        if rng.random() < pi:
            found.append(Labelled(score, y, pi, 0))
    return found


@pytest.mark.parametrize("biased", [False, True])
def test_bins_find_the_rate_whatever_was_chosen_for_review(biased: bool) -> None:
    found = bins(sample(20_000, 1, biased), EDGES, 0)
    truth = [1 / 48, 7 / 48, 19 / 48, 37 / 48]
    assert [b.share for b in found] == pytest.approx(truth, abs=0.03)


@pytest.mark.parametrize("biased", [False, True])
def test_isotonic_follows_the_curve_within_its_bins(biased: bool) -> None:
    knots = isotonic(sample(20_000, 2, biased), 0)
    assert knots is not None
    for score in (0.1, 0.3, 0.6, 0.8, 0.95):
        assert knots.at(score) == pytest.approx(score**2, abs=0.07)


def test_few_labels_are_left_to_the_bins() -> None:
    assert isotonic(sample(300, 3, False), 0) is None


@given(
    st.lists(
        st.builds(
            Labelled,
            st.floats(0, 1),
            st.integers(0, 1),
            st.floats(0.01, 1),
            st.integers(0, 200),
        ),
        max_size=60,
    )
)
def test_shares_are_shares_and_labels_are_never_more_than_there_are(items: list[Labelled]) -> None:
    found = bins(items, EDGES, 200)
    counts = np.bincount(np.searchsorted(EDGES, [i.score for i in items], side="right"), minlength=4)
    for b, count in zip(found, counts, strict=True):
        assert 0 <= b.share <= 1 + 1e-9
        assert b.labels <= count + 1e-6
        assert 0 <= shrunk(b, b, 0.03) <= 1


def test_a_bin_without_labels_is_the_other_intents_and_they_the_objective() -> None:
    nothing, many = Bin(0.0, 0.0), Bin(0.5, 1e6)
    assert shrunk(nothing, nothing, 0.03) == 0.03
    assert shrunk(nothing, many, 0.03) == pytest.approx(0.5, abs=1e-4)
    assert shrunk(Bin(0.1, 1e6), many, 0.03) == pytest.approx(0.1, abs=1e-4)
