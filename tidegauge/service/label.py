"""Human labels: every opinion is kept, the effective label moves the sums of the item's original blocks."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tidegauge.domain import CaseState, Label, Micros
from tidegauge.slo import Rule, label_difference, rate_terms
from tidegauge.storage import evidence, reviews
from tidegauge.storage.evidence import Additions
from tidegauge.storage.reviews import Opinion, Outcome
from tidegauge.storage.store import Row, Transaction

UNSURE_AT_MOST = 2
"""After so many reviewers who cannot tell, a case counts as not returned."""


class LabelReport(msgspec.Struct, kw_only=True):
    """What became of each label: the counts add up to the number of labels."""

    applied: int = 0
    corrections: int = 0
    """Applied ones in which a reviewer takes back an earlier word."""
    doubled: int = 0
    unknown: int = 0
    volunteered: int = 0
    """Kept, but about items that were not chosen for review: they count for nothing but agreement."""
    unknown_ids: list[str] = []
    test_keys: set[str] = set()
    """Tests whose sums changed."""


def apply_labels(tx: Transaction, labels: Sequence[Label], confirmations: int, now: Micros) -> LabelReport:
    """Keeps opinions and moves effective labels; one transaction, whatever the number."""
    report = LabelReport()
    for indicator in sorted({label.indicator for label in labels}):
        mine = [label for label in labels if label.indicator == indicator]
        ids = [label.request_id for label in mine]
        outcomes = reviews.lock_outcomes(tx, ids, indicator)
        opinions = reviews.newest_opinions(tx, ids, indicator)
        rows = [row for label in mine if (row := _keep(label, outcomes, opinions, report, now))]
        tx.many("insert_opinion", rows)
        touched = [outcomes[name] for name in sorted({str(row["request_id"]) for row in rows if row["counts"]})]
        _settle(tx, indicator, touched, opinions, confirmations=confirmations, report=report, now=now)
    return report


def effective(values: Iterable[int | None], confirmations: int) -> tuple[int, bool, CaseState]:
    """(Y, returned, state of the case) from the newest word of each reviewer.

    Y is 1 once `confirmations` reviewers said so. One "no" answers the case, too. Who cannot tell leaves it to others.
    """
    said = list(values)
    positives, unsure = said.count(1), said.count(None)
    y = int(positives >= confirmations)
    if y or 0 in said:
        return y, True, CaseState.LABELLED
    return 0, False, CaseState.UNRETURNED if unsure >= UNSURE_AT_MOST else CaseState.QUEUED


def _keep(
    label: Label,
    outcomes: Mapping[str, Outcome],
    opinions: dict[str, dict[str, Opinion]],
    report: LabelReport,
    now: Micros,
) -> Row | None:
    """The row of one opinion, noted in `opinions`; None where it is unknown or was said before."""
    outcome = outcomes.get(label.request_id)
    if outcome is None:
        report.unknown += 1
        report.unknown_ids.append(label.request_id)
        return None
    value = None if label.hallucinated is None else int(label.hallucinated)
    said = opinions.setdefault(label.request_id, {})
    old = said.get(label.reviewer)
    note = label.note or ""
    if old is not None and (old.value, old.note) == (value, note):
        report.doubled += 1
        return None
    sequence = 0 if old is None else old.sequence + 1
    said[label.reviewer] = Opinion(sequence=sequence, value=value, note=note)
    if outcome.reviewed:
        report.applied += 1
        report.corrections += old is not None and old.value != value
    else:
        report.volunteered += 1
    return {
        "request_id": label.request_id,
        "indicator": label.indicator,
        "reviewer": label.reviewer,
        "sequence": sequence,
        "value": value,
        "note": note,
        "counts": outcome.reviewed,
        "made_at": now,
    }


def _settle(
    tx: Transaction,
    indicator: str,
    outcomes: Sequence[Outcome],
    opinions: Mapping[str, Mapping[str, Opinion]],
    *,
    confirmations: int,
    report: LabelReport,
    now: Micros,
) -> None:
    """Writes effective labels and cases, and adds the differences to the sums. The outcomes are locked."""
    rules = _rules(tx, outcomes)
    additions, moved, cases = Additions(), [], []
    for old in outcomes:
        said = opinions[old.request_id].values()
        y, returned, state = effective([opinion.value for opinion in said], confirmations)
        name = {"request_id": old.request_id, "indicator": indicator}
        cases.append({**name, "state": state.value, "labelled_at": now if returned else None})
        if (y, returned) == (old.y, bool(old.returned)):
            continue
        moved.append(
            {**name, "y": y, "returned": int(returned), "old_y": old.y, "old_returned": old.returned},
        )
        if old.test_key is not None:
            _add_difference(additions, rules[old.test_key], old, y, returned)
    evidence.raise_keys(tx, additions.test_keys, now)
    tx.many("settle_outcome", moved)
    tx.many("settle_case", cases)
    report.test_keys |= additions.write(tx)


def _rules(tx: Transaction, outcomes: Sequence[Outcome]) -> dict[str, Rule]:
    keys = sorted({outcome.test_key for outcome in outcomes if outcome.test_key is not None})
    names = ("theta0", "alpha", "false_positive_rate", "bets")
    return {
        row["test_key"]: Rule(**{name: row[name] for name in names})
        for row in tx.rows_in("rules_of_keys", "test_keys", keys)
    }


def _add_difference(additions: Additions, rule: Rule, old: Outcome, y: int, returned: bool) -> None:
    test_key = str(old.test_key)
    if y != old.y:
        change = label_difference(rule, old.f, old.pi, old.u, old=old.y, new=y)
        additions.add_test(test_key, old.test_block, change, y - old.y)
    before = rate_terms(old.f, old.pi, True, bool(old.returned), old.y, pi1=old.pi1)
    after = rate_terms(old.f, old.pi, True, returned, y, pi1=old.pi1)
    additions.add_rates((test_key, old.event_block, old.evaluator_hash, old.bin), after.minus(before))
