"""Released evaluators and rubrics: a version once used never changes its content."""

from typing import Protocol

from tidegauge.domain import Micros
from tidegauge.errors import ArtifactChanged
from tidegauge.storage.store import Store, Transaction


class Artifact(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def content_hash(self) -> str: ...


def register(store: Store, artifacts: tuple[Artifact, ...], now: Micros) -> None:
    """Remembers what verdicts rest on. Raises ArtifactChanged, with both hashes."""
    with store.write() as tx:
        for a in artifacts:
            keep(tx, a.kind, a.name, a.version, a.content_hash, now)


def keep(tx: Transaction, kind: str, name: str, version: str, content_hash: str, now: Micros) -> None:
    """Remembers one artifact. Raises ArtifactChanged."""
    tx.run("register_artifact", kind=kind, name=name, version=version, content_hash=content_hash, now=now)
    kept = tx.value("artifact_hash", kind=kind, name=name, version=version)
    if kept != content_hash:
        raise ArtifactChanged(
            f"{kind} {name}@{version}: its content changed under the same version "
            f"({kept} in the store, {content_hash} here): release it under a new version"
        )
