"""Puts pinned artifacts of the package indexes in place: jars by SHA-256, Prism by Go's checksum database."""

import hashlib
import importlib.resources
import io
import os
import platform
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from tidegauge.errors import EngineError

MAVEN_VARIABLE = "TIDEGAUGE_MAVEN_URL"
MAVEN = "https://repo1.maven.org/maven2"
PRISM = "github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0"
GO_PROXY = "https://proxy.golang.org"
GO = (1, 26, 8)
"""What Prism is built with where the machine has nothing as new."""

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_TOOLCHAINS = {
    "linux-amd64": "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7",
    "linux-arm64": "02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99",
    "darwin-arm64": "0aad5fb52b88498885290178adc0bcfe429bc63012621af9f83282eb640bd9c7",
    "darwin-amd64": "fe99a2009e5bb51e06d7784f1a486478673512041c2671157bd382806e2aedcf",
}
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
    content = _checked(client, url, sha)
    name = url.rsplit("/", 1)[1]
    half = lib / f".{name}.{os.getpid()}"
    half.write_bytes(content)
    half.replace(lib / name)


def _checked(client: httpx.Client, url: str, sha: str) -> bytes:
    content = _get(client, url)
    found = hashlib.sha256(content).hexdigest()
    if found != sha:
        raise EngineError(f"{url}: has SHA-256 {found}, but {sha} is pinned")
    return content


def _get(client: httpx.Client, url: str) -> bytes:
    for left in reversed(range(_TRIES)):
        try:
            answer = client.get(url)
            answer.raise_for_status()
            return answer.content
        except httpx.HTTPError as error:
            if not left:
                raise EngineError(f"{url}: {error}; {MAVEN_VARIABLE} names another Maven repository") from None
    raise AssertionError("unreachable")


def _install_prism(directory: Path, say: Callable[[str], None]) -> Path:
    program = directory / "prism"
    if program.exists():
        return program
    with _go(say) as go:
        say(f"prism: building {PRISM}")
        environment = {**os.environ, "GOBIN": str(directory.resolve()), "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        command = [go, "install", PRISM]
        built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if built.returncode:
        lines = built.stderr.strip().splitlines() or ["no message"]
        raise EngineError(f"go install {PRISM}: {lines[-1]}")
    return program


@contextmanager
def _go(say: Callable[[str], None]) -> Iterator[str]:
    """The Go of this machine when it is new enough, else a pinned one for as long as it is needed."""
    found = shutil.which("go")
    if found and _version(found) >= GO:
        yield found
        return
    system = f"{platform.system().lower()}-{_MACHINES.get(platform.machine(), platform.machine())}"
    if system not in _TOOLCHAINS:
        wanted = ".".join(map(str, GO))
        raise EngineError(
            f"prism: there is no Go {wanted} or newer on PATH and none is pinned for {system}: install one, or put the "
            "program `prism` of Beam's release page on PATH"
        )
    url = f"{GO_PROXY}/golang.org/toolchain/@v/v0.0.1-go{'.'.join(map(str, GO))}.{system}.zip"
    say(f"prism: Go from {url}")
    with tempfile.TemporaryDirectory(prefix="tidegauge-go-") as folder, httpx.Client(timeout=60) as client:
        archive = zipfile.ZipFile(io.BytesIO(_checked(client, url, _TOOLCHAINS[system])))
        archive.extractall(folder)
        (go,) = Path(folder).glob("golang.org/*/bin/go")
        for tool in (*go.parent.iterdir(), *go.parents[1].glob("pkg/tool/*/*")):
            tool.chmod(0o755)  # which a zip file does not say
        yield str(go)


def _version(go: str) -> tuple[int, ...]:
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    return tuple(int(part) for part in re.findall(r"[0-9]+", said)[:3])
