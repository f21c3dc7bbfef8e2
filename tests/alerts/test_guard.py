"""URLs of strangers do not reach into the network; what was checked is what is connected to."""

import contextlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.alerts.world import KEY
from tidegauge.alerts.guard import guarded, is_public
from tidegauge.alerts.webhook import Sender
from tidegauge.errors import UsageError
from tidegauge.testing.receiver import WebhookReceiver

PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
        *("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "224.0.0.1", "255.255.255.255"),
        *("240.0.0.1", "198.18.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
        *("2001:0:4136:e378:8000:63bf:f5ff:fffe", "64:ff9b:1::a9fe:a9fe", "fec0::1"),
    ],
)
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="not allowed"):
        guarded("https://hook.example/x", lambda host, port: [address])
    with pytest.raises(UsageError, match="not allowed"):  # one bad address among good ones is enough
        guarded("https://hook.example/x", lambda host, port: [PUBLIC, address])


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/"),
        *("http://[::1]:8080/", "http://[::ffff:7f00:1]/", "http://0/", "http://localhost:80/"),
        *("ftp://hook.example/", "file:///etc/passwd", "gopher://hook.example", "//hook.example", "", "http://"),
        *("http://user:secret@hook.example/", "http://hook.example\\@127.0.0.1/", "http://a:99999/", "http://[::1"),
    ],
)
def test_disguised_loopback_and_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        guarded(url)
    assert "secret" not in str(caught.value)


def test_a_public_target_keeps_its_name_and_path() -> None:
    found = guarded("https://hook.example:8443/a?b=c#d", lambda host, port: [PUBLIC])
    assert found == (f"https://{PUBLIC}:8443/a?b=c", "hook.example:8443")
    found = guarded("http://hook.example", lambda host, port: ["2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
    assert found == ("http://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:80/", "hook.example")


def test_a_name_that_is_bound_anew_after_the_check_gains_nothing() -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2"]])
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    with WebhookReceiver(KEY) as receiver:
        port = receiver.url.rpartition(":")[2]
        target = guarded(f"http://hook.invalid:{port}/x", rebinding, lambda address: str(address) == "127.0.0.1")
        assert Sender(target, KEY).send("msg_1", b"{}").accepted
        assert asked == ["hook.invalid"]
        assert receiver.deliveries[0].headers["host"] == f"hook.invalid:{port}"


@given(st.ip_addresses())
def test_nothing_private_is_public(address: object) -> None:
    found = ip_address(str(address))
    if found.is_private or found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified:
        assert not is_public(found) or found.is_global


@given(st.text())
def test_any_text_is_a_target_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert guarded(f"http://{text}", lambda host, port: [PUBLIC]).url.startswith(f"http://{PUBLIC}:")
