from collections.abc import Iterator

import pytest

from tests.alerts.world import KEY
from tidegauge.alerts.webhook import SECRET
from tidegauge.testing.receiver import WebhookReceiver


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookReceiver]:
    monkeypatch.setenv(SECRET, KEY)
    with WebhookReceiver(KEY) as server:
        yield server
