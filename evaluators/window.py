"""A sliding window of judge calls: one event loop thread and one client for a worker's whole life.

Calls stay in flight across elements; `submit` blocks only while the window is full. Not for several submitting threads.
"""

import asyncio
import gc
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Self

from evaluators.base import AskingEvaluator
from evaluators.cascade import Begun, Cascade
from tidegauge.domain import Request, Verdict

_GRACE = 5.0
"""Seconds beyond their deadline after which calls are given up on, whatever they are doing."""

_YOUNG = 20_000
"""New objects after which the garbage collector looks for cycles (CPython: 700).

A block's samples and hundreds of calls in flight are objects that live: it walked them over and over, found next to
nothing, and held up all calls meanwhile.
"""


class _Call(NamedTuple):
    request: Request
    begun: Begun
    since: float  # monotonic seconds


class JudgeWindow:
    """Runs a cascade over many requests. Verdicts come in the order in which they are reached.

    Without a judge there is no thread, and every verdict is reached in `submit`.
    """

    def __init__(self, cascade: Cascade, concurrency: int | None = None) -> None:
        """`concurrency`: requests in work at most, by default twice what the judges ask at once, for some only wait."""
        self._cascade = cascade
        self._changed = threading.Condition()
        self._finished: list[Verdict] = []
        self._calls: dict[int, _Call] = {}
        self._submitted = 0
        self._concurrency = concurrency or 2 * max((judge.concurrency for judge in cascade.judges), default=1)
        self._deadline = sum(judge.deadline_seconds for judge in cascade.judges) + _GRACE
        self._landed_at = 0.0
        self._queue: deque[tuple[int, _Call, bool]] = deque()
        self._woken = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        _collect_rarely()
        if cascade.judges:
            self._open(cascade.judges)

    def submit(self, request: Request, *, everyone: bool = False, spared: bool = False) -> None:
        """Takes a request in; its verdict comes from `finished` or `drain`. Blocks while the window is full.

        `spared`: no judge is asked, as if the budget were spent.
        """
        begun = self._cascade.begin(request, everyone=everyone)
        if spared:
            begun = self._cascade.spare(request, begun)
        if begun.verdict is not None:
            with self._changed:
                self._finished.append(begun.verdict)
            return
        if self._loop is None:
            raise RuntimeError("the judge's window is closed")
        with self._changed:
            self._wait_below(self._concurrency)
            self._submitted += 1
            number = self._submitted
            call = _Call(request, begun, time.monotonic())
            self._calls[number] = call
            self._queue.append((number, call, everyone))
            woken, self._woken = self._woken, True
        if not woken:  # one wake-up is enough for all that is queued until the loop comes to it
            self._loop.call_soon_threadsafe(self._start_queued)

    def finished(self) -> list[Verdict]:
        """Verdicts reached since the last call. Never blocks."""
        with self._changed:
            verdicts, self._finished = self._finished, []
        return verdicts

    def drain(self) -> list[Verdict]:
        """Waits until nothing is in flight; the verdicts that `finished` has not given yet."""
        with self._changed:
            self._wait_below(1)
        return self.finished()

    @property
    def in_flight(self) -> int:
        """Requests that the judges have in hand."""
        with self._changed:
            return len(self._calls)

    @property
    def at_once(self) -> int:
        """Calls that the judges make at once at most; 0 where nobody is asked, or it is closed."""
        return 0 if self._loop is None else sum(judge.concurrency for judge in self._cascade.judges)

    def close(self) -> None:
        """Ends the thread and the client. What is still in flight is forgotten and stays pending in the store."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        with self._changed:
            self._calls.clear()
        asyncio.run_coroutine_threadsafe(self._shut_down(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, judges: Sequence[AskingEvaluator]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="judge-window", daemon=True)
        self._thread.start()
        for judge in judges:
            asyncio.run_coroutine_threadsafe(judge.open(), self._loop).result()

    def _start_queued(self) -> None:
        with self._changed:
            queued, self._queue = self._queue, deque()
            self._woken = False
        for number, call, everyone in queued:
            task = asyncio.get_running_loop().create_task(self._run(number, call, everyone))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, number: int, call: _Call, everyone: bool) -> None:
        self._land(number, await self._cascade.finish(call.request, call.begun, everyone=everyone))

    def _land(self, number: int, verdict: Verdict) -> None:
        with self._changed:
            self._landed_at = time.monotonic()
            if self._calls.pop(number, None) is not None:
                self._finished.append(verdict)
                self._changed.notify_all()

    def _wait_below(self, limit: int) -> None:
        """Waits, with the lock held, until fewer than `limit` calls are in flight.

        While answers come, however slowly, the others wait for their turn. Those in hand for a whole deadline in which
        none came hang, and are given up on.
        """
        while len(self._calls) >= limit:
            now = time.monotonic()
            oldest = min(call.since for call in self._calls.values())
            left = max(oldest, self._landed_at) + self._deadline - now
            if left > 0:
                self._changed.wait(left)
                continue
            for number, call in [(n, c) for n, c in self._calls.items() if c.since + self._deadline <= now]:
                self._land(number, self._cascade.abandoned(call.request, call.begun))

    async def _shut_down(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_GRACE)
        for judge in self._cascade.judges:
            await judge.close()


def _collect_rarely() -> None:
    """For the whole process, which is a worker; a collector that is off, or rarer already, stays as it is."""
    young, *older = gc.get_threshold()
    if 0 < young < _YOUNG:
        gc.set_threshold(_YOUNG, *older)
