"""The store's side of the evaluators: the verdict cache, budgets and endpoint capabilities behind their protocols."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil, isnan

from evaluators.build import Services
from tidegauge.config import Config, JudgeSection
from tidegauge.domain import DAY, Clock, Score, Usage
from tidegauge.errors import ConfigError, StoreUnavailable
from tidegauge.prices import Prices
from tidegauge.storage import judging
from tidegauge.storage.judging import Amount, Limit
from tidegauge.storage.store import Store, retry_conflicts

_log = logging.getLogger("tidegauge")

_PORTION = 32
"""Calls that a worker reserves at once, so that the store is not asked before each."""


class StoreCache:
    """A `VerdictCache`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def look_up(self, content: str, evaluator_hashes: Sequence[str]) -> dict[str, Score]:
        return retry_conflicts(self._look_up, content, evaluator_hashes)

    def _look_up(self, content: str, evaluator_hashes: Sequence[str]) -> dict[str, Score]:
        with self._store.read() as tx:
            return judging.cached_scores(tx, content, evaluator_hashes)


class StoreMemory:
    """A `CapabilityMemory`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def recall(self, base_url: str, model: str) -> dict[str, str]:
        return retry_conflicts(self._recall, base_url, model)

    def remember(self, base_url: str, model: str, learnt: dict[str, str]) -> None:
        retry_conflicts(self._remember, base_url, model, learnt)

    def _recall(self, base_url: str, model: str) -> dict[str, str]:
        with self._store.read() as tx:
            return judging.recall(tx, base_url, model)

    def _remember(self, base_url: str, model: str, learnt: dict[str, str]) -> None:
        with self._store.write() as tx:
            judging.remember(tx, base_url, model, learnt, self._clock.now())


class StoreSpending:
    """A `Spending`: what is used was reserved in the store before, so that no number of workers passes a budget.

    A worker reserves for several calls at once and keeps what is left for its next ones. What a killed worker had
    reserved counts as used.
    """

    def __init__(self, store: Store, clock: Clock, judge: str, section: JudgeSection, prices: Prices) -> None:
        """Raises ConfigError where a budget in dollars cannot be held, since a price is unknown."""
        self._store, self._clock, self._judge, self._prices = store, clock, judge, prices
        self._models = [section.model, *(endpoint.model for endpoint in section.fallbacks)]
        budget = section.budget
        self._limit = Limit(
            calls=None if budget.calls_per_day is None else int(budget.calls_per_day),
            tokens=None if budget.tokens_per_day is None else int(budget.tokens_per_day),
            nano_usd=None if budget.usd_per_day is None else int(budget.usd_per_day * 1e9),
        )
        if self._limit.nano_usd is not None and self._price() is None:
            raise ConfigError(
                f"{judge}.budget.usd_per_day: the price of {', '.join(self._models)} is unknown; add it to `prices`"
            )
        self._lock = threading.Lock()
        self._asking = asyncio.Lock()
        self._day = -1
        self._left = Amount()

    async def reserve(self, input_tokens: int, output_tokens: int) -> bool:
        wanted = self._amount(input_tokens, output_tokens)
        if self._take(wanted):
            return True
        async with self._asking:  # one of a worker's calls at a time asks for all of them
            return self._take(wanted) or await asyncio.to_thread(self._reserve_more, wanted)

    def settle(self, input_tokens: int, output_tokens: int, usage: Usage | None) -> None:
        if usage is None:
            return
        reserved = self._amount(input_tokens, output_tokens)
        used = self._amount(usage.input_tokens, usage.output_tokens)
        with self._lock:
            self._left = self._left.plus(reserved.minus(used))

    def close(self) -> None:
        """Returns what is reserved and not used."""
        with self._lock:
            left, self._left = self._left, Amount()
            day = self._day
        if left != Amount():
            try:
                self._give_back(day, left)
            except StoreUnavailable as error:  # it may have been returned already: better used than returned twice
                _log.warning("%s: what is left of the budget counts as used: %s", self._judge, error)

    def _give_back(self, day: int, left: Amount) -> None:
        with self._store.write() as tx:
            judging.give_back(tx, self._judge, day, left)

    def _take(self, wanted: Amount) -> bool:
        with self._lock:
            if self._day != self._today() or not self._left.holds(wanted):
                return False
            self._left = self._left.minus(wanted)
            return True

    def _reserve_more(self, wanted: Amount) -> bool:
        if self._day != self._today():
            self.close()
            with self._lock:
                self._day = self._today()
        for calls in (self._portion(wanted), 1):
            more = wanted.times(calls)
            if retry_conflicts(self._reserve, more):
                with self._lock:
                    self._left = self._left.plus(more).minus(wanted)
                return True
        return False

    def _reserve(self, more: Amount) -> bool:
        with self._store.write() as tx:
            return judging.reserve(tx, self._judge, self._day, more, self._limit)

    def _portion(self, wanted: Amount) -> int:
        """Calls to reserve for: many, but no more than a hundredth of a budget, or others would find it spent."""
        limits = (
            (self._limit.calls, wanted.calls),
            (self._limit.tokens, wanted.tokens),
            (self._limit.nano_usd, wanted.nano_usd),
        )
        shares = [limit // (100 * amount) for limit, amount in limits if limit is not None and amount]
        return max(1, min([_PORTION, *shares]))

    def _today(self) -> int:
        return self._clock.now() // DAY

    def _amount(self, input_tokens: int, output_tokens: int) -> Amount:
        price = self._price() or (0.0, 0.0)
        nano = ceil(input_tokens * price[0] + output_tokens * price[1])
        return Amount(calls=1, tokens=input_tokens + output_tokens, nano_usd=nano)

    def _price(self) -> tuple[float, float] | None:
        """Of the dearest endpoint; None where one is unknown."""
        day = datetime.fromtimestamp(self._clock.now() / 1e6, UTC).date()
        prices = [self._prices.per_token(model, "", day) for model in self._models]
        if any(isnan(one) for price in prices for one in price):
            return None
        return max(p[0] for p in prices), max(p[1] for p in prices)


class StoreServices:
    """Everything that evaluators need of one store. `close` returns what is left of the budgets."""

    def __init__(self, store: Store, config: Config, clock: Clock) -> None:
        self._store, self._config, self._clock = store, config, clock
        self._spendings: list[StoreSpending] = []

    def services(self) -> Services:
        return Services(
            cache=StoreCache(self._store),
            memory=StoreMemory(self._store, self._clock),
            spending=self._spending,
        )

    def _spending(self, judge: str) -> StoreSpending:
        section = self._config.judge if judge == "judge" else self._config.judges[judge]
        made = StoreSpending(self._store, self._clock, judge, section, Prices(self._config.prices))
        self._spendings.append(made)
        return made

    def close(self) -> None:
        for spending in self._spendings:
            spending.close()
