"""For URLs that somebody typed into the console or sent to the API: they must not reach into our own network.

URLs from the operator's file or environment are not guarded; loopback and private ones are theirs to name.
"""

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from tidegauge.errors import UsageError

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[str]]

_PORTS = {"http": 80, "https": 443}
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last 32 bits
_REFUSED = tuple(
    ip_network(name)
    for name in (
        "168.63.129.16/32",  # Azure's platform address; most other metadata services are link-local or private
        "192.0.0.0/24",  # IETF protocol assignments, Oracle's metadata service among them
        "64:ff9b:1::/48",  # RFC 8215: local-use NAT64
        "fec0::/10",  # RFC 3879: site-local, deprecated
    )
)
"""What the standard library takes for public, in some versions."""


class Target(NamedTuple):
    """Where to connect, decided once: the name is not resolved again, so that it cannot point elsewhere later."""

    url: str
    """With the checked address in place of the host."""
    host: str
    """For the Host header, the name in the certificate and SNI."""


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host, as the system says. Raises OSError."""
    return list(dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def guarded(url: str, look_up: Resolve = resolve, allowed: Callable[[Address], bool] | None = None) -> Target:
    """The checked target of an untrusted URL. Raises UsageError where one of its addresses is not a public one.

    Loopback, private, link-local (metadata services), shared, multicast and reserved addresses are refused, also inside
    IPv6 forms of IPv4 addresses. The URL is not repeated in the message: it may hold a token.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise UsageError("this is no URL") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or "\\" in url:
        raise UsageError("a URL begins with https:// or http://, names a host, and holds no user")
    try:
        found = [ip_address(address.partition("%")[0]) for address in look_up(parts.hostname, port)]
    except (OSError, UnicodeError, ValueError):
        raise UsageError(f"{parts.hostname[:100]}: the host cannot be found") from None
    check = allowed or is_public
    if not found or not all(check(address) for address in found):
        raise UsageError(f"{parts.hostname[:100]}: this address is not on the public internet and is not allowed")
    shown = f"[{found[0]}]" if found[0].version == 6 else str(found[0])
    pinned = urlunsplit((parts.scheme, f"{shown}:{port}", parts.path or "/", parts.query, ""))
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Target(pinned, name if parts.port is None else f"{name}:{parts.port}")


def is_public(address: Address) -> bool:
    """Whether an address, and any IPv4 address inside it, is a unicast one of the public internet."""
    inner = _inside(address)
    if inner is not None:
        return is_public(inner)
    if any(address in network for network in _REFUSED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inside(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, compatible, 6to4, Teredo or NAT64."""
    if isinstance(address, IPv4Address):
        return None
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64 or int(address) >> 32 == 0:
        return low
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
