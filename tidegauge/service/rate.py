"""The rate of one test as people see it, with the counts beside it."""

from collections import defaultdict

from tidegauge.domain import TEST_BLOCK, UNSCORED_BIN, Micros, Value
from tidegauge.slo import Estimate, RateSums, estimate
from tidegauge.storage import evidence
from tidegauge.storage.evidence import TestKey
from tidegauge.storage.store import Transaction

SETTLED = 0.95
"""A block is shown once this share of its reviews came back."""

COMPLETE = 0.98
"""A block is read once this share of its samples is final."""


class Shown(Value, frozen=True, kw_only=True):
    """Counts of all items so far; the rate of the blocks up to `as_of`."""

    rate: Estimate
    judged: int
    unscored: int
    flagged: int
    reviewed: int
    labelled: int
    positives: int
    as_of: Micros


def complete_to(tx: Transaction, key: TestKey, last: int) -> int:
    """The last block of the prefix of complete ones, `first_block - 1` where there is none.

    A block without traffic has nothing that could be missing.
    """
    rows = tx.rows("cells_between", intent=key.intent, deployment=key.deployment, first=key.first_block, last=last)
    for row in rows:
        if row["final"] < COMPLETE * row["sampled"]:
            return int(row["block"]) - 1
    return last


def shown(tx: Transaction, key: TestKey, complete: int, false_positive_rate: float) -> Shown:
    """The rate over complete blocks up to the newest settled one; where none is settled yet, over all of them.

    A block that is not settled is read through the share of its bin's reviews that came back.
    """
    rows = evidence.rate_sums(tx, key.test_key, max(complete, key.last_at // TEST_BLOCK))
    reviewed: dict[int, float] = defaultdict(float)
    returned: dict[int, float] = defaultdict(float)
    for block, _, _, _, sums in rows:
        reviewed[block] += sums.reviewed
        returned[block] += sums.returned
    settled = [b for b in reviewed if b <= complete and reviewed[b] > 0 and returned[b] >= SETTLED * reviewed[b]]
    last = max(settled, default=complete)
    strata: dict[tuple[str, int], RateSums] = {}
    for block, evaluator, bin_, _, sums in rows:
        if block <= last:
            strata[evaluator, bin_] = strata.get((evaluator, bin_), RateSums()).plus(sums)
    unscored = sum(int(sums.items) for _, _, bin_, _, sums in rows if bin_ == UNSCORED_BIN)
    return Shown(
        rate=estimate(strata.values(), false_positive_rate),
        judged=sum(int(sums.items) for *_, sums in rows) - unscored,
        unscored=unscored,
        flagged=sum(flagged for _, _, _, flagged, _ in rows),
        reviewed=int(sum(reviewed.values())),
        labelled=int(sum(returned.values())),
        positives=sum(int(sums.positives) for *_, sums in rows),
        as_of=min((last + 1) * TEST_BLOCK, key.last_at),
    )
