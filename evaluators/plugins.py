"""The user's own evaluators: a function or a class in a module, or an entry point of an installed package.

A function takes a request and returns P(hallucinated), or None where it has nothing to say, or (score, reason). A class
has `evaluate(request)`, and may have `name`, `version`, `needs` and `edges`. Whatever one does (raise, hang, return
nonsense), its score is a value that says so, and the job goes on.
"""

import importlib
import inspect
import queue
import sys
import threading
from collections.abc import Callable
from importlib.metadata import entry_points
from numbers import Real
from pathlib import Path
from typing import Any

from evaluators.base import content_hash, silent
from tidegauge.config import Config
from tidegauge.config_rules import ENTRY_POINTS
from tidegauge.domain import Request, Score
from tidegauge.errors import ConfigError

EDGES = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
SECONDS = 1.0
"""What one evaluation may take."""

PATIENCE = 3
"""Evaluations in a row that may take longer, after which it is asked no more."""

LONGEST_REASON = 500


class Own:
    """An evaluator of the user's, made safe."""

    asks = False

    def __init__(self, name: str, target: Any, seconds: float = SECONDS) -> None:
        """`target`: a function, a class without arguments, or an object. Raises ConfigError where it is none."""
        made = target() if inspect.isclass(target) else target
        call = getattr(made, "evaluate", made)
        if not callable(call):
            raise ConfigError(f"evaluator {name}: neither a function nor a class with evaluate(request)")
        self.name = getattr(made, "name", name)
        self.version = str(getattr(made, "version", "0"))
        self.needs = frozenset(getattr(made, "needs", ()))
        self.edges = tuple(getattr(made, "edges", EDGES))
        self.content_hash = content_hash("own", self.name, self.version, self.edges, _source(target))
        self._call = call
        self._seconds = seconds
        self._late = 0

    def evaluate(self, request: Request) -> Score:
        if self._late >= PATIENCE:
            return silent(self, f"asked no more: it took over {self._seconds:g} s {PATIENCE} times in a row")
        answers: queue.SimpleQueue[tuple[Any, str]] = queue.SimpleQueue()
        worker = threading.Thread(target=self._run, args=(request, answers), daemon=True, name=f"evaluator-{self.name}")
        worker.start()
        try:
            value, error = answers.get(timeout=self._seconds)
        except queue.Empty:
            self._late += 1
            return silent(self, f"took over {self._seconds:g} s")
        self._late = 0
        return silent(self, error) if error else self._score(value)

    def _run(self, request: Request, answers: "queue.SimpleQueue[tuple[Any, str]]") -> None:
        try:
            answers.put((self._call(request), ""))
        except BaseException as error:  # noqa: BLE001 - it is the user's code, and anything may come out of it
            answers.put((None, f"raised {type(error).__name__}"))

    def _score(self, value: Any) -> Score:
        if isinstance(value, Score):
            value = (value.score, value.reason)
        score, reason = value if isinstance(value, tuple) and len(value) == 2 else (value, "")
        if score is None:
            return silent(self, _said(reason) or "nothing to say")
        if not isinstance(score, Real) or not 0 <= score <= 1:  # type: ignore[operator]  # a Real has an order
            return silent(self, "returned neither a number from 0 to 1 nor None")
        score = float(score)
        return Score(
            evaluator=self.name,
            version=self.version,
            content_hash=self.content_hash,
            score=score,
            label="hallucinated" if score >= 0.5 else "faithful",
            confidence=max(score, 1 - score) * 0.99,  # never sure: only the shipped rules end a cascade by themselves
            reason=_said(reason) or f"{self.name} says {score:.2f}",
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_late": 0}


def _said(reason: Any) -> str:
    """Any text, without the lone surrogates that no store takes."""
    return str(reason)[:LONGEST_REASON].encode("utf-8", "replace").decode()


def own_evaluators(config: Config) -> dict[str, Callable[[], Own]]:
    """Makers of the user's evaluators by name: those of the configuration, then those of installed packages."""
    found: dict[str, Callable[[], Own]] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        found[entry.name] = lambda entry=entry: Own(entry.name, entry.load())  # type: ignore[misc]
    for plugin in config.evaluation.plugins:
        module, _, name = plugin.rpartition(":")
        found[name] = lambda module=module, name=name: Own(name, _imported(module, name, config.directory))  # type: ignore[misc]
    return found


def _imported(module: str, name: str, directory: Path) -> Any:
    """An object of a module that lies beside the configuration or is installed. Raises ConfigError."""
    folder = str(directory.absolute())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        raise ConfigError(f"evaluation.plugins: {module} has no {name}") from None
    except Exception as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"evaluation.plugins: {module} cannot be imported: {type(error).__name__}: {said}") from error


def _source(target: Any) -> str:
    """What is hashed: the text of its code, else its name."""
    try:
        return inspect.getsource(target if inspect.isclass(target) or inspect.isroutine(target) else type(target))
    except (OSError, TypeError):
        return repr(getattr(target, "__qualname__", type(target).__qualname__))
