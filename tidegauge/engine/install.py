"""Puts pinned artifacts of the package indexes in place: jars by SHA-256, Prism by Go's checksum database."""

import hashlib
import importlib.resources
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec

from tidegauge.errors import EngineError

MAVEN_VARIABLE = "TIDEGAUGE_MAVEN_URL"
MAVEN = "https://repo1.maven.org/maven2"
PRISM = "github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0"
_DOWNLOADS = 8
_TRIES = 4


def install(engine: str, directory: Path, say: Callable[[str], None]) -> Path:
    """Where the engine lies afterwards. What is there already and right stays as it is. Raises EngineError."""
    directory.mkdir(parents=True, exist_ok=True)
    return _install_prism(directory, say) if engine == "prism" else _install_jars(engine, directory, say)


def pinned(engine: str) -> dict[str, str]:
    """The jars of an engine: path in a Maven repository → SHA-256."""
    text = importlib.resources.files("tidegauge.engine").joinpath(f"{engine}.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, str])


def _install_jars(engine: str, directory: Path, say: Callable[[str], None]) -> Path:
    lib = directory / engine / "lib"
    lib.mkdir(parents=True, exist_ok=True)
    wanted = pinned(engine)
    for stray in {jar.name for jar in lib.glob("*.jar")} - {os.path.basename(path) for path in wanted}:
        (lib / stray).unlink()
    missing = {path: sha for path, sha in wanted.items() if not _is(lib / os.path.basename(path), sha)}
    if missing:
        base = os.environ.get(MAVEN_VARIABLE, MAVEN).rstrip("/")
        say(f"{engine}: {len(missing)} of {len(wanted)} jars from {base}")
        with httpx.Client(timeout=60, follow_redirects=True) as client, ThreadPoolExecutor(_DOWNLOADS) as pool:
            jobs = [pool.submit(_fetch, client, f"{base}/{path}", lib, sha) for path, sha in missing.items()]
            for job in jobs:
                job.result()
    return lib


def _is(path: Path, sha: str) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == sha


def _fetch(client: httpx.Client, url: str, lib: Path, sha: str) -> None:
    """Half a jar never lies under its name."""
    content = _get(client, url)
    found = hashlib.sha256(content).hexdigest()
    if found != sha:
        raise EngineError(f"{url}: has SHA-256 {found}, but {sha} is pinned")
    name = url.rsplit("/", 1)[1]
    half = lib / f".{name}.{os.getpid()}"
    half.write_bytes(content)
    half.replace(lib / name)


def _get(client: httpx.Client, url: str) -> bytes:
    for left in reversed(range(_TRIES)):
        try:
            answer = client.get(url)
            answer.raise_for_status()
            return answer.content
        except httpx.HTTPError as error:
            if not left:
                raise EngineError(f"{url}: {error}; {MAVEN_VARIABLE} names another repository") from None
    raise AssertionError("unreachable")


def _install_prism(directory: Path, say: Callable[[str], None]) -> Path:
    program = directory / "prism"
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        raise EngineError(
            "prism is built from its Go module and there is no `go` on PATH: install Go 1.26 or newer, or put the "
            "program `prism` of Beam's release page on PATH"
        )
    say(f"prism: building {PRISM}")
    environment = {**os.environ, "GOBIN": str(directory.resolve()), "GOTOOLCHAIN": "local"}
    built = subprocess.run([go, "install", PRISM], env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if built.returncode:
        lines = built.stderr.strip().splitlines() or ["no message"]
        raise EngineError(f"go install {PRISM}: {lines[-1]}")
    return program
