"""How much an endpoint is asked at once and a minute, and when it is left alone. One event loop; times in seconds."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable

SHRINK = 0.7
"""What remains of the concurrency after trouble (multiplicative decrease; Chiu & Jain 1989)."""

TROUBLED = 0.25
"""Share of 429s and timeouts among the calls lately, from which on it is the load's fault and not chance."""

_LATELY = 1 / 64
_GROWTH = 4.0  # calls more for each round of answers

SLOW = 3.0
"""Times the fastest latency lately: slower than this, concurrency does not grow."""

DOWN_AFTER = 32
"""Requests in a row without an answer, after which an endpoint is taken to be down."""

FIRST_TRY, LAST_TRY = 0.5, 10.0
"""Seconds until one request may find out whether it is up again: a 50th of the time that it is down, between these."""


class Concurrency:
    """Calls in flight, at most `most`: fewer after trouble, one more a round of answers while latency holds."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._shrunk_at = float("-inf")
        self._fastest = float("inf")
        self._trouble = 0.0
        self.limit = float(most)

    async def enter(self) -> None:
        if self._in_flight < self._allowed:
            self._in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # the turn was given to a call that is gone
            raise

    def leave(self) -> None:
        self._in_flight -= 1
        self._give_turns()

    @property
    def _allowed(self) -> int:
        return max(1, int(self.limit))

    @property
    def overloaded(self) -> bool:
        return self._trouble > TROUBLED

    def answered(self, latency: float) -> None:
        self._trouble *= 1 - _LATELY
        self._fastest = min(latency, self._fastest * 1.01)
        if self.limit < self._most and latency <= SLOW * self._fastest:
            self.limit = min(self._most, self.limit + _GROWTH / self.limit)
            self._give_turns()

    def troubled(self) -> None:
        """A 429 or a timeout: where there are many, shrinks, but once for all calls that were in flight together."""
        self._trouble += (1 - self._trouble) * _LATELY
        now = self._clock()
        if self.overloaded and now - self._shrunk_at > min(self._fastest, 1.0):
            self._shrunk_at = now
            self.limit = max(1.0, self.limit * SHRINK)

    def _give_turns(self) -> None:
        """To those who wait, who are in flight from here on."""
        while self._waiting and self._in_flight < self._allowed:
            turn = self._waiting.popleft()
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)


class Bucket:
    """A rate a minute, with bursts of a second's worth (token bucket)."""

    def __init__(self, a_minute: float | None, clock: Callable[[], float]) -> None:
        self._rate = None if a_minute is None else a_minute / 60
        self._clock = clock
        self._free_at = clock()

    async def take(self, amount: float) -> None:
        """Waits until so much may be used."""
        if self._rate is None:
            return
        now = self._clock()
        start = max(self._free_at, now - 1.0)
        takes = amount / self._rate if self._rate > 0 else float("inf")
        self._free_at = start + takes
        if start > now:
            try:
                await asyncio.sleep(start - now)
            except asyncio.CancelledError:
                if takes < float("inf"):
                    self._free_at -= takes
                raise


class Breaker:
    """Open after many failures in a row; then one request at a time may try, and an answer closes it.

    One that nobody asked for long is closed: what it knows is old.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._down_until = 0.0
        self._down_since = 0.0
        self.problem = ""
        """Why there was no answer last."""

    @property
    def is_open(self) -> bool:
        """Whether nobody may ask now, not even for a try."""
        return self._failures >= DOWN_AFTER and self._clock() < self._down_until

    @property
    def is_on_trial(self) -> bool:
        """Whether it was open and the next one to ask may try."""
        return self._failures >= DOWN_AFTER and 0 <= self._clock() - self._down_until <= LAST_TRY

    def refuses(self, patience: float = 0.0) -> bool:
        """Whether nobody may ask now. When it is time for a try, the one who is told so is the one to make it.

        All others wait until what came of it is known, or for `patience`, the seconds that it may take.
        """
        if self._failures < DOWN_AFTER:
            return False
        if self.is_open:
            return True
        if not self.is_on_trial:
            self._failures = 0
            return False
        self._down_until = self._clock() + max(patience, FIRST_TRY)
        return False

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, problem: str) -> None:
        self.problem = problem
        self._failures += 1
        now = self._clock()
        if self._failures == DOWN_AFTER:
            self._down_since = now
        if self._failures >= DOWN_AFTER:
            self._down_until = now + min(max(FIRST_TRY, (now - self._down_since) / 50), LAST_TRY)


_breakers: dict[Hashable, Breaker] = {}


def breaker_of(endpoint: Hashable) -> Breaker:
    """The one of this process for an endpoint: what one worker learnt holds for those after and beside it."""
    return _breakers.setdefault(endpoint, Breaker(time.monotonic))


def all_down(endpoints: Collection[Hashable]) -> bool:
    """Whether there are some, and this process leaves each of them alone now."""
    return bool(endpoints) and all(e in _breakers and _breakers[e].is_open for e in endpoints)


def all_doubtful(endpoints: Collection[Hashable]) -> bool:
    """Whether there are some, and this process has yet to hear whether any of them is up again."""
    known = [_breakers[e] for e in endpoints if e in _breakers]
    return bool(endpoints) and len(known) == len(endpoints) and all(b.is_open or b.is_on_trial for b in known)


class Pause:
    """When an overloaded endpoint wants peace, everybody waits."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = 0.0

    def ask_for(self, seconds: float) -> None:
        self._until = max(self._until, self._clock() + seconds)

    async def wait(self) -> None:
        while (left := self._until - self._clock()) > 0:
            await asyncio.sleep(left + random.random() * min(0.1, left))  # noqa: S311 - jitter
