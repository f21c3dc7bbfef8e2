"""Objectives as they are tested: versioned, so that a changed one starts new tests."""

from collections.abc import Sequence
from functools import cache
from typing import Protocol

from tidegauge.domain import Micros, Objective
from tidegauge.slo import BETS, Rule
from tidegauge.storage import policies
from tidegauge.storage.policies import StoredObjective
from tidegauge.storage.store import Transaction


class Tested(Protocol):
    @property
    def theta0(self) -> float: ...
    @property
    def alpha(self) -> float: ...
    @property
    def false_positive_rate(self) -> float: ...


def ensure(tx: Transaction, objectives: Sequence[Objective], now: Micros) -> dict[str, StoredObjective]:
    """The stored version of each objective, by intent; a changed theta0, alpha or false positive rate is a new one."""
    kept = policies.keep_objectives(tx, objectives, now)
    return {wanted.intent: kept[wanted.indicator, wanted.intent] for wanted in objectives}


def rule_of(tested: Tested, bets: int = BETS) -> Rule:
    return _rule(tested.theta0, tested.alpha, tested.false_positive_rate, bets)


@cache
def _rule(theta0: float, alpha: float, false_positive_rate: float, bets: int) -> Rule:
    """The same object for every item, so that its bets are laid out once."""
    return Rule(theta0=theta0, alpha=alpha, false_positive_rate=false_positive_rate, bets=bets)
