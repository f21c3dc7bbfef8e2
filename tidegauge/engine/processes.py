"""Servers in the background, known by the files that their process ids are in."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from tidegauge.errors import EngineError

_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.1


class Process:
    """A server that outlives the command that starts it. `directory` has its process id and what it says."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._pid_file = directory / f"{name}.pid"
        self.log = directory / f"{name}.log"

    def start(self, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        """Starts it unless it runs."""
        if self.process() is not None:
            return
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            started = subprocess.Popen(  # noqa: S603 - our own servers
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self._pid_file.write_text(f"{started.pid} {psutil.Process(started.pid).create_time()}")
        _children[started.pid] = started

    def process(self) -> psutil.Process | None:
        """The one that runs; a process id that others have got since is not ours."""
        try:
            pid, began = self._pid_file.read_text().split()
            found = psutil.Process(int(pid))
            same = abs(found.create_time() - float(began)) < 1
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, psutil.Error):
            return None

    def stop(self, number: int = signal.SIGTERM) -> bool:
        """Ends it and what it has started; whether it ran."""
        process = self.process()
        if process is None:
            self._forget()
            return False
        everybody = [process, *process.children(recursive=True)]
        for one in everybody:
            _send(one, number)
        _, left = psutil.wait_procs(everybody, timeout=_STOP_SECONDS)
        for one in left:
            _send(one, signal.SIGKILL)
        psutil.wait_procs(left, timeout=_STOP_SECONDS)
        self._forget()
        return True

    def kill(self) -> bool:
        """Ends it without a word."""
        return self.stop(signal.SIGKILL)

    def _forget(self) -> None:
        pid = self._pid_file.read_text().split()[:1] if self._pid_file.exists() else []
        if pid and (child := _children.pop(int(pid[0]), None)) is not None:
            child.poll()
        self._pid_file.unlink(missing_ok=True)

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-5:])


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Those that this very process has started, to be waited for when they have ended."""


class Up(NamedTuple):
    """A part of an engine, and whether it runs."""

    name: str
    pid: int | None


def up(processes: Sequence[Process]) -> list[Up]:
    return [Up(one.name, found.pid if (found := one.process()) else None) for one in processes]


def wait_until(ready: Callable[[], bool], process: Process, seconds: float) -> None:
    """Raises EngineError with the server's last words when it ends, or is not ready in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.process() is None:
            process.stop()
            raise EngineError(f"{process.name} ended at once: {process.last_words()}; see {process.log}")
        if time.monotonic() > deadline:
            raise EngineError(f"{process.name} is not ready after {seconds:.0f} s; see {process.log}")
        time.sleep(_POLL_SECONDS)


def listens(port: int, host: str = "127.0.0.1") -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def java() -> str:
    """Java, from JAVA_HOME or PATH."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=os.path.join(home, "bin")) if home else None
    found = found or shutil.which("java")
    if found is None:
        raise EngineError(
            "there is no `java` on PATH and no JAVA_HOME: install a Java runtime 17, such as openjdk-17-jre"
        )
    return found


def class_path(lib: Path, engine: str) -> str:
    if not any(lib.glob("*.jar")):
        raise EngineError(f"{lib} has no jars: tidegauge engine install {engine} --dir {lib.parent.parent}")
    return f"{lib.resolve()}/*"


def _send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
