"""Latencies in exponential buckets that add exactly.

The mapping of DDSketch (Masson, Rim & Lee, VLDB 2019) with fixed buckets: bucket i holds values in
(gamma^(i-1), gamma^i], gamma = (1 + a) / (1 - a), so a quantile read from it is off by at most a = 1 %. Bucket
MINIMUM also holds everything smaller, zero included. Counts are sparse: two int64 columns, bucket and count.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ACCURACY = 0.01
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
PAIR_BYTES = 16
MINIMUM = -346  # 0.001 ms
MAXIMUM = 1382  # 1e12 ms
_UPPER = np.array([GAMMA**i for i in range(MINIMUM, MAXIMUM + 1)])


def buckets(values: Floats) -> Ints:
    """Bucket numbers of non-negative values."""
    guess = np.ceil(np.log(np.maximum(values, _UPPER[0])) / math.log(GAMMA)).astype(np.int64)
    place = np.clip(guess - MINIMUM, 0, len(_UPPER) - 1)
    # The logarithm may be off by one unit in the last place, differently on other processors: the bounds decide.
    place -= (place > 0) & (values <= _UPPER[np.maximum(place - 1, 0)])
    place += (place < len(_UPPER) - 1) & (values > _UPPER[place])
    numbers: Ints = place + MINIMUM
    return numbers


def pack(numbers: Ints, counts: Ints) -> bytes:
    """Sparse counts as bytes: little-endian int64 pairs in ascending bucket order."""
    return np.stack((numbers, counts), axis=1).astype("<i8").tobytes()


def unpack(data: bytes) -> Ints:
    """Shape (buckets, 2): bucket number, count."""
    return np.frombuffer(data, dtype="<i8").reshape(-1, 2).astype(np.int64)


def merge(pairs: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Each pair of packed histograms as one; all pairs at once, since they are short and many."""
    table = unpack(b"".join(part for pair in pairs for part in pair))
    owners = np.repeat(np.arange(len(pairs)), [(len(one) + len(other)) // PAIR_BYTES for one, other in pairs])
    cells = (owners << 32) + (table[:, 0] - MINIMUM)  # of one pair together, in the order of their buckets
    order = np.argsort(cells, kind="stable")
    first = np.flatnonzero(np.diff(cells[order], prepend=-1))
    cells = cells[order][first]
    counts = np.add.reduceat(table[order, 1], first) if len(first) else table[:, 1]
    packed = pack((cells & 0xFFFF_FFFF) + MINIMUM, counts)
    ends = np.searchsorted(cells, np.arange(len(pairs) + 1) << 32) * PAIR_BYTES
    return [packed[start:stop] for start, stop in pairwise(ends.tolist())]


def values(numbers: Ints) -> Floats:
    """The value that stands for each bucket, off by at most 1 %."""
    found: Floats = 2 * GAMMA ** numbers.astype(np.float64) / (GAMMA + 1)
    return found


def quantile(data: bytes, q: float) -> float | None:
    """The q-quantile in the unit of the values, within 1 %; None of an empty histogram."""
    table = unpack(data)
    if not len(table):
        return None
    rank = q * (table[:, 1].sum() - 1)
    place = int(np.searchsorted(table[:, 1].cumsum(), rank, side="right"))
    number = int(table[min(place, len(table) - 1), 0])
    return float(values(np.array([number]))[0])
