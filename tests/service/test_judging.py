"""What judges share through the store."""

import asyncio
import multiprocessing

import pytest

from tests.evaluators.scripted import outcome
from tests.support.ingest import Now
from tidegauge.config import BudgetSection, JudgeSection, PriceSection
from tidegauge.domain import DAY, EvaluationState, Score, Usage, Verdict
from tidegauge.errors import ConfigError
from tidegauge.prices import Prices
from tidegauge.service.judging import StoreCache, StoreMemory, StoreSpending
from tidegauge.storage import judging
from tidegauge.storage.judging import CACHE_DAYS
from tidegauge.storage.store import Store

PRICES = Prices([PriceSection(model="m", input_per_million=1.0, output_per_million=2.0)])
NOW = Now().now()


def spending(store: Store, **budget: float) -> StoreSpending:
    section = JudgeSection(base_url="http://127.0.0.1/v1", model="m", budget=BudgetSection(**budget))
    return StoreSpending(store, Now(), "judge", section, PRICES)


def calls_made(one: StoreSpending, wanted: int) -> int:
    async def run() -> int:
        return sum(await asyncio.gather(*(one.reserve(100, 50) for _ in range(wanted))))

    return asyncio.run(run())


def used(store: Store) -> tuple[int, int, int]:
    with store.read() as tx:
        (row,) = tx.rows("budgets_of_day", day=NOW // DAY)
    return row["calls"], row["tokens"], row["nano_usd"]


@pytest.mark.parametrize(
    ("budget", "calls"),
    [({"calls_per_day": 70}, 70), ({"tokens_per_day": 1_000}, 6), ({"usd_per_day": 0.0021}, 10), ({}, 200)],
)
def test_not_one_call_beyond_the_budget(store: Store, budget: dict[str, float], calls: int) -> None:
    assert calls_made(spending(store, **budget), 200) == calls


def test_what_is_not_used_is_given_back(store: Store) -> None:
    one = spending(store)
    assert calls_made(one, 5) == 5
    for _ in range(5):
        one.settle(100, 50, Usage(calls=1, input_tokens=80, output_tokens=10))
    one.close()
    assert used(store) == (5, 5 * 90, 5 * (80 * 1_000 + 10 * 2_000))


def test_what_nothing_is_known_of_counts_as_reserved(store: Store) -> None:
    one = spending(store)
    assert calls_made(one, 1) == 1
    one.settle(100, 50, None)
    one.close()
    assert used(store)[:2] == (1, 150)


def test_a_new_day_has_a_new_budget(store: Store) -> None:
    clock = Now()
    section = JudgeSection(base_url="http://127.0.0.1/v1", model="m", budget=BudgetSection(calls_per_day=3))
    one = StoreSpending(store, clock, "judge", section, PRICES)

    async def two_days() -> list[int]:
        made = []
        for _ in range(2):
            made.append(sum([await one.reserve(100, 50) for _ in range(9)]))
            clock.time += DAY
        return made

    assert asyncio.run(two_days()) == [3, 3]


def test_dollars_without_a_price_are_refused(store: Store) -> None:
    section = JudgeSection(base_url="http://127.0.0.1/v1", model="no-such-model", budget=BudgetSection(usd_per_day=1))
    with pytest.raises(ConfigError, match=r"price of no-such-model is unknown; add it to `prices`"):
        StoreSpending(store, Now(), "judge", section, PRICES)


def _spend(url: str, budget: float, made: "multiprocessing.Queue[int]") -> None:
    store = Store(url)
    one = spending(store, calls_per_day=budget)
    made.put(calls_made(one, 200))
    one.close()
    store.close()


def test_eight_processes_never_pass_a_budget_by_a_single_call(store_url: str, store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    made: multiprocessing.Queue[int] = context.Queue()
    workers = [context.Process(target=_spend, args=(store_url, 500, made)) for _ in range(8)]
    for worker in workers:
        worker.start()
    total = sum(made.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 8
    assert total == used(store)[0]
    assert 450 <= total <= 500


def verdict(score: Score, content: str = "c") -> Verdict:
    return Verdict(request_id="r", state=EvaluationState.JUDGED, scores=(score,), decided_by=0, bin=0, content=content)


def test_answers_are_remembered_by_who_gave_them_and_about_what(store: Store) -> None:
    said, unusable = outcome(0.7).score, outcome(None).score
    with store.write() as tx:
        judging.cache_scores(tx, [verdict(said), verdict(said), verdict(unusable, "d")], NOW)
    cache = StoreCache(store)
    (found,) = cache.look_up("c", [said.content_hash]).values()
    assert (found.score, found.label, found.answered_by, found.usage) == (0.7, "hallucinated", "cache", None)
    assert cache.look_up("c", ["another"]) == cache.look_up("d", [said.content_hash]) == {}


def test_old_answers_are_forgotten(store: Store) -> None:
    said = outcome(0.7).score
    with store.write() as tx:
        judging.cache_scores(tx, [verdict(said)], NOW)
        judging.cache_scores(tx, [verdict(said, "new")], NOW + (CACHE_DAYS + 1) * DAY)
    assert StoreCache(store).look_up("c", [said.content_hash]) == {}
    assert StoreCache(store).look_up("new", [said.content_hash])


def test_what_was_learnt_of_an_endpoint_is_known_to_the_next_worker(store: Store) -> None:
    memory = StoreMemory(store, Now())
    assert memory.recall("http://127.0.0.1/v1", "m") == {}
    memory.remember("http://127.0.0.1/v1", "m", {"format": "json_object"})
    memory.remember("http://127.0.0.1/v1", "m", {"format": "text"})
    assert StoreMemory(store, Now()).recall("http://127.0.0.1/v1", "m") == {"format": "text"}
