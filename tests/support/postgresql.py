"""A PostgreSQL server of the test's own, to be stopped and started, and a way to it on which answers get lost."""

import contextlib
import glob
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Listens on loopback only; its data goes with it."""

    def __init__(self, programs: Path, *, password: str = "") -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="tidegauge-postgresql-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # the server does not run as root
            shutil.chown(self._folder, "postgres")
            self._as = {"user": "postgres", "group": "postgres", "extra_groups": []}
        self.port = free_port()
        trust = ["-A", "trust"]
        if password:
            (self._folder / "password").write_text(password)
            (self._folder / "password").chmod(0o644)
            trust = ["-A", "scram-sha-256", f"--pwfile={self._folder}/password"]
        self._call("initdb", "-D", str(self._folder / "data"), *trust, "-U", "postgres", "--no-sync")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._call(
            "pg_ctl", "-D", str(self._folder / "data"), "-w", "-l", str(self._folder / "log"), "-o", options, "start"
        )

    def crash(self) -> None:
        """As if the machine had lost its power."""
        self._call("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")

    def end(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.crash()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=60, **self._as)


@contextlib.contextmanager
def private_server(password: str = "") -> Iterator[Server]:
    """Skips loudly where PostgreSQL is not installed, fails in CI."""
    found = [*glob.glob("/usr/lib/postgresql/*/bin/initdb"), shutil.which("initdb")]
    programs = [name for name in found if name]
    if not programs:
        message = "initdb is not installed: the test of restarts did not run"
        if os.environ.get("TIDEGAUGE_CI"):
            pytest.fail(message)
        pytest.skip(message)
    server = Server(Path(programs[-1]).parent, password=password)
    try:
        yield server
    finally:
        server.end()


class Proxy:
    """Between a client and the server. Every n-th COMMIT is lost on its way there, or its answer on the way back."""

    def __init__(self, to: int, every: int, *, arrives: bool) -> None:
        self._to, self._every, self._arrives = to, every, arrives
        self._lock = threading.Lock()
        self.commits = self.lost = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                dead = threading.Event()
                threading.Thread(target=self._up, args=(client, server, dead), daemon=True).start()
                threading.Thread(target=self._down, args=(server, client, dead), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, dead: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                if b"COMMIT\0" in data and self._is_lost():
                    if not self._arrives:
                        break
                    dead.set()
                server.sendall(data)
        self._end(client, server)

    def _down(self, server: socket.socket, client: socket.socket, dead: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while (data := server.recv(1 << 16)) and not dead.is_set():
                client.sendall(data)
        self._end(client, server)

    def _is_lost(self) -> bool:
        with self._lock:
            self.commits += 1
            lost = self.commits % self._every == 0
            self.lost += lost
            return lost

    @staticmethod
    def _end(*sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self) -> None:
        self._listener.close()
