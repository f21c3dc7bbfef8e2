"""Limits under a clock of the test's own."""

import asyncio

import pytest

from evaluators import limits
from evaluators.endpoint import LONGEST_WAIT, UNSAID_WAIT, retry_after
from evaluators.limits import Breaker, Bucket, Concurrency


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_concurrency_shrinks_once_for_calls_in_flight_together_and_grows_back() -> None:
    time = Time()
    limit = Concurrency(64, time)
    limit.answered(0.2)
    for _ in range(40):
        limit.troubled()
    assert limit.overloaded
    assert limit.limit == pytest.approx(64 * limits.SHRINK)
    time.now += 1
    limit.troubled()
    assert limit.limit == pytest.approx(64 * limits.SHRINK**2)
    for _ in range(5_000):
        limit.answered(0.2)
    assert limit.limit == 64


def test_concurrency_does_not_grow_while_answers_are_slow() -> None:
    limit = Concurrency(64, Time())
    limit.answered(0.2)
    for _ in range(40):
        limit.troubled()
    before = limit.limit
    assert before < 64
    limit.answered(0.2 * limits.SLOW * 1.1)
    assert limit.limit == before


def test_trouble_by_chance_shrinks_nothing() -> None:
    limit = Concurrency(64, Time())
    for _ in range(200):
        limit.troubled()
        for _ in range(12):
            limit.answered(0.2)
    assert limit.limit == 64


def test_never_more_in_flight_than_the_limit_and_a_cancelled_one_gives_its_turn_on() -> None:
    async def run() -> int:
        limit, most, running = Concurrency(3, Time()), 0, 0

        async def call(n: int) -> None:
            nonlocal most, running
            await limit.enter()
            running += 1
            most = max(most, running)
            for _ in range(n % 4):
                await asyncio.sleep(0)
            running -= 1
            limit.leave()

        tasks = [asyncio.create_task(call(n)) for n in range(50)]
        await asyncio.sleep(0)
        for task in tasks[3::7]:
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        return most

    assert asyncio.run(run()) == 3


def test_those_who_wait_go_on_when_the_limit_grows() -> None:
    async def run() -> list[int]:
        limit, running = Concurrency(64, Time()), 0

        async def call() -> None:
            nonlocal running
            await limit.enter()
            running += 1

        limit.limit = 2.0
        tasks = [asyncio.create_task(call()) for _ in range(100)]
        seen = []
        for answers in (0, 400, 4_000):
            for _ in range(answers):
                limit.answered(0.2)
            await asyncio.sleep(0.01)
            seen.append(running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return seen

    first, then, last = asyncio.run(run())
    assert (first, last) == (2, 64)
    assert 40 < then < 64


def test_a_bucket_lets_a_second_s_worth_through_and_then_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.now += seconds

    monkeypatch.setattr(limits.asyncio, "sleep", sleep)

    async def run() -> None:
        bucket = Bucket(600, time)
        for _ in range(60):
            await bucket.take(1)

    start = time.now
    asyncio.run(run())
    assert time.now - start == pytest.approx(5.9, abs=0.2)


def test_a_bucket_takes_back_what_nobody_waits_for_any_more() -> None:
    async def run() -> None:
        time = Time()
        bucket = Bucket(60, time)
        await bucket.take(1)
        waiting = asyncio.create_task(bucket.take(1_000))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        time.now += 1
        await asyncio.wait_for(bucket.take(1), 1)

    asyncio.run(run())


def test_a_bucket_of_nothing_lets_nobody_through() -> None:
    async def run() -> int:
        bucket = Bucket(0, Time())
        await bucket.take(1)  # the burst
        passed = 0
        for _ in range(3):
            try:
                await asyncio.wait_for(bucket.take(1), 0.01)
                passed += 1
            except TimeoutError:
                pass
        return passed

    assert asyncio.run(run()) == 0


def test_a_breaker_opens_lets_one_try_and_closes() -> None:
    time = Time()
    breaker = Breaker(time)
    for _ in range(limits.DOWN_AFTER):
        assert not breaker.refuses()
        breaker.failed("it is away")
    assert breaker.refuses()
    for wait in (*[0.5] * 50, 0.5, 0.51):  # between tries in vain
        time.now += wait - 0.001
        assert breaker.refuses()
        time.now += 0.001
        assert [breaker.refuses() for _ in range(3)] == [False, True, True]
        breaker.failed("it is away")
    time.now += limits.LAST_TRY
    assert not breaker.refuses()
    breaker.succeeded()
    assert [breaker.refuses() for _ in range(3)] == [False, False, False]


def test_while_somebody_tries_the_others_wait_for_what_comes_of_it() -> None:
    time = Time()
    breaker = Breaker(time)
    for _ in range(limits.DOWN_AFTER):
        breaker.failed("it is away")
    time.now += limits.FIRST_TRY
    assert [breaker.refuses(30.0) for _ in range(2)] == [False, True]
    time.now += 29.0
    assert breaker.refuses(30.0)
    breaker.failed("it hung")
    assert breaker.refuses(30.0)
    time.now += limits.LAST_TRY
    assert [breaker.refuses(30.0) for _ in range(2)] == [False, True]
    time.now += 30.0  # nobody told what came of it
    assert [breaker.refuses(30.0) for _ in range(2)] == [False, True]


def test_what_an_open_breaker_knows_grows_old() -> None:
    time = Time()
    breaker = Breaker(time)
    for _ in range(limits.DOWN_AFTER):
        breaker.failed("it is away")
    time.now += limits.FIRST_TRY + limits.LAST_TRY + 0.001
    assert [breaker.refuses() for _ in range(3)] == [False, False, False]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("-4", 0.0),
        ("1e9", LONGEST_WAIT),
        ("nan", LONGEST_WAIT),
        ("inf", LONGEST_WAIT),
        ("Thu, 01 Jan 1970 00:01:45 GMT", 5.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", UNSAID_WAIT),
        (None, UNSAID_WAIT),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(said: str | None, seconds: float) -> None:
    assert retry_after({} if said is None else {"retry-after": said}, now=100.0) == seconds
