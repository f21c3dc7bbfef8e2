"""Jars come from a Maven repository, are what they should be, and are not fetched twice."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.engines import engines
from tidegauge.engine import install
from tidegauge.errors import EngineError


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Maven repository with Kafka's jars on loopback."""
    lib = engines("kafka/lib") / "kafka" / "lib"
    root = tmp_path / "repository"
    for path in install.pinned("kafka"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(lib / Path(path).name)
    handler = partial(_Quiet, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(install.MAVEN_VARIABLE, f"http://127.0.0.1:{server.server_port}/")
        yield root
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def test_only_what_is_missing_or_wrong_is_fetched(repository: Path, tmp_path: Path) -> None:
    said: list[str] = []
    lib = install.install("kafka", tmp_path / "engines", said.append)
    wanted = install.pinned("kafka")
    assert sorted(jar.name for jar in lib.iterdir()) == sorted(Path(path).name for path in wanted)
    assert said.pop().startswith(f"kafka: {len(wanted)} of {len(wanted)} jars from http://127.0.0.1:")

    next(lib.glob("kafka-clients-*.jar")).write_bytes(b"half a ja")
    (lib / "of-another-version.jar").touch()
    install.install("kafka", tmp_path / "engines", said.append)
    assert said.pop().startswith("kafka: 1 of ")
    assert not (lib / "of-another-version.jar").exists()

    install.install("kafka", tmp_path / "engines", said.append)
    assert said == []


def test_a_jar_that_is_not_the_pinned_one_is_refused(repository: Path, tmp_path: Path) -> None:
    path = next(path for path in install.pinned("kafka") if "kafka-clients" in path)
    (repository / path).unlink()
    (repository / path).write_bytes(b"not the jar")
    with pytest.raises(EngineError, match=r"kafka-clients.* has SHA-256 .* is pinned"):
        install.install("kafka", tmp_path / "engines", lambda _: None)
    assert not list((tmp_path / "engines").rglob("kafka-clients*"))


def test_a_repository_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(install.MAVEN_VARIABLE, "http://127.0.0.1:9")
    with pytest.raises(EngineError, match=install.MAVEN_VARIABLE):
        install.install("kafka", tmp_path, lambda _: None)


def test_prism_without_go_on_an_unknown_system_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(EngineError, match=r"no Go 1\.26\.8 or newer on PATH .* linux-riscv64: install one"):
        install.install("prism", tmp_path, lambda _: None)
