"""Latency histograms: added exactly, many at once."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.storage.histogram import MAXIMUM, MINIMUM, merge, pack, unpack

counts = st.dictionaries(st.integers(MINIMUM, MAXIMUM), st.integers(1, 1 << 40), max_size=8).map(Counter)


def packed(histogram: Counter[int]) -> bytes:
    pairs = np.array(sorted(histogram.items()), dtype=np.int64).reshape(-1, 2)
    return pack(pairs[:, 0], pairs[:, 1])


@given(st.lists(st.tuples(counts, counts), max_size=12))
def test_each_pair_is_added_and_none_leaks_into_its_neighbours(pairs: list[tuple[Counter[int], Counter[int]]]) -> None:
    merged = merge([(packed(one), packed(other)) for one, other in pairs])
    assert merged == [packed(one + other) for one, other in pairs]
    assert [int(unpack(data)[:, 1].sum()) for data in merged] == [one.total() + other.total() for one, other in pairs]
