"""A migrated store in a schema of its own on PostgreSQL."""

from collections.abc import Iterator

import pytest

from tests.conftest import drop_schema, postgresql_url
from tidegauge.storage.migrations import migrate
from tidegauge.storage.store import Store


@pytest.fixture
def url() -> Iterator[str]:
    made = postgresql_url()
    yield made
    drop_schema(made)


@pytest.fixture
def pg(url: str) -> Iterator[Store]:
    store = Store(url)
    migrate(store)
    yield store
    store.close()
