"""A PostgreSQL server of a test's own, which it may stop and start."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import POSTGRESQL


class Server:
    """Its data stay in `folder`. Skips loudly where there is no PostgreSQL, fails in CI."""

    def __init__(self, folder: Path, port: int) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        where = str(found[-1]) if found else os.path.dirname(shutil.which("initdb") or "")
        if not where or not os.environ.get(POSTGRESQL):
            message = f"{POSTGRESQL} is not set or there is no initdb: this test did not run"
            if os.environ.get("TIDEGAUGE_CI"):
                pytest.fail(message)
            pytest.skip(message)
        self._bin = where
        self._folder = folder
        self._port = port
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:  # which PostgreSQL refuses to run as
            shutil.chown(folder, "postgres")
            for parent in folder.parents:
                if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o011)
        self._do("initdb", "-D", f"{folder}/db", "-A", "trust", "-U", "postgres")

    def start(self) -> None:
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._do("pg_ctl", "-D", f"{self._folder}/db", "-w", "-l", f"{self._folder}/log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is like kill -9: connections break and what was not committed is gone."""
        self._do("pg_ctl", "-D", f"{self._folder}/db", "-m", mode, "stop")

    def _do(self, program: str, *arguments: str) -> None:
        command = [f"{self._bin}/{program}", *arguments]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
