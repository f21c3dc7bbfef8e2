"""A sliding window of judge calls: one event loop thread and one client for a worker's whole life.

Calls stay in flight across elements; `submit` blocks only while the window is full. Not for several submitting threads.
"""

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any, NamedTuple, Self

from evaluators.base import Outcome
from evaluators.cascade import Cascade
from evaluators.judge import Judge
from tidegauge.domain import Request, Score, Verdict

_GRACE = 5.0
"""Seconds beyond its own deadline after which a call is given up on, whatever it is doing."""


class _Call(NamedTuple):
    request: Request
    scores: tuple[Score, ...]
    expires: float  # monotonic seconds


class JudgeWindow:
    """Runs a cascade over many requests. Verdicts come in the order in which they are reached.

    Without a judge there is no thread, and every verdict is reached in `submit`.
    """

    def __init__(self, cascade: Cascade, concurrency: int | None = None) -> None:
        """`concurrency`: calls in flight at most; that of the judge's settings unless given."""
        self._cascade = cascade
        self._changed = threading.Condition()
        self._finished: list[Verdict] = []
        self._calls: dict[int, _Call] = {}
        self._submitted = 0
        self._concurrency = concurrency or (cascade.judge.settings.concurrency if cascade.judge else 1)
        self._loop: asyncio.AbstractEventLoop | None = None
        if cascade.judge:
            self._open(cascade.judge)

    def submit(self, request: Request, *, everyone: bool = False) -> None:
        """Takes a request in; its verdict comes from `finished` or `drain`. Blocks while the window is full."""
        begun = self._cascade.begin(request, everyone=everyone)
        if begun.verdict is not None:
            with self._changed:
                self._finished.append(begun.verdict)
            return
        if self._loop is None or self._cascade.judge is None:
            raise RuntimeError("the judge's window is closed")
        with self._changed:
            self._wait_below(self._concurrency)
            self._submitted += 1
            number = self._submitted
            expires = time.monotonic() + self._cascade.judge.settings.deadline_seconds + _GRACE
            self._calls[number] = _Call(request, begun.scores, expires)
        asyncio.run_coroutine_threadsafe(self._call(number, request, self._cascade.judge), self._loop)

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

    def _open(self, judge: Judge) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="judge-window", daemon=True)
        self._thread.start()
        self._wait_for(judge.open(), self._loop)

    @staticmethod
    def _wait_for(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result()

    async def _call(self, number: int, request: Request, judge: Judge) -> None:
        self._land(number, await judge.evaluate(request))

    def _land(self, number: int, outcome: Outcome) -> None:
        with self._changed:
            call = self._calls.pop(number, None)
            if call is not None:
                self._finished.append(self._cascade.conclude(call.request, call.scores, outcome))
                self._changed.notify_all()

    def _wait_below(self, limit: int) -> None:
        """Waits, with the lock held, until fewer than `limit` calls are in flight; gives up on those that hang."""
        while len(self._calls) >= limit:
            left = min(c.expires for c in self._calls.values()) - time.monotonic()
            if left > 0:
                self._changed.wait(left)
                continue
            judge = self._cascade.judge
            assert judge is not None
            for number in [n for n, c in self._calls.items() if c.expires <= time.monotonic()]:
                self._land(number, judge.pending("the call hung and was abandoned"))

    async def _shut_down(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_GRACE)
        if self._cascade.judge:
            await self._cascade.judge.close()
