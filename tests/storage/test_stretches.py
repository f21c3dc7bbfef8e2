"""A commit reads what lies around the times of its block, whatever one of them says."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tidegauge.storage.commits import _APART, _stretches


@given(st.sets(st.integers(-(2**33), 2**33), min_size=1))
def test_stretches_hold_every_bucket_and_no_long_gap(buckets: set[int]) -> None:
    found = list(_stretches(sorted(buckets)))
    assert all(sum(first <= bucket <= last for first, last in found) == 1 for bucket in buckets)
    assert all(first in buckets and last in buckets for first, last in found)
    assert all(after[0] - before[1] > _APART for before, after in pairwise(found))
    assert sum(last - first for first, last in found) <= _APART * len(buckets)


def test_one_stray_time_is_a_stretch_of_its_own() -> None:
    assert list(_stretches([-7_000_000, 5_900_000, 5_900_001, 5_900_013])) == [
        (-7_000_000, -7_000_000),
        (5_900_000, 5_900_013),
    ]
