"""Routes to a box on which no other machine gets the token. Kind: hands.

Over TLS to a known key, or without leaving this machine. Anything else is refused, except with
``--insecure``.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

from inglenook.client.tls_pin import WrongKey, pinned_context, unchecked_context
from inglenook.common.errors import StartupError
from inglenook.discovery.box import BoxHello

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


@dataclass(frozen=True, slots=True)
class Route:
    """A route to a server.

    Attributes:
        url: ``http://…`` or ``https://…``, with neither path nor slash for a box.
        tls: The context of the connection; None for http.
        pin: Fingerprint of the only key that ``tls`` accepts, if it is pinned.
    """

    url: str
    tls: ssl.SSLContext | None = None
    pin: str | None = None

    @property
    def websocket_url(self) -> str:
        """The URL of a box's WebSocket."""
        return f"{self.url.replace('http', 'ws', 1)}/ws"


def parse_url(text: str) -> str:
    """Make ``http://…`` or ``https://…`` of a typed address; the scheme may be left out.

    Raises:
        StartupError: If it is no address.
    """
    text = text.strip()
    url = (text if "://" in text else f"http://{text}").rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise StartupError(
            f"{text} is no address; write for example http://kitchen-ab12.local:8377"
        )
    scheme, _, rest = url.partition("://")
    return f"{_SCHEMES[scheme.lower()]}://{rest}"


def on_this_machine(url: str) -> bool:
    """Whether a URL leads to this machine: by a loopback or own address, as a number.

    The network resolves names, so of those only ``localhost`` counts.
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or str(address) in _own_addresses()


def route_to_box(url: str, box: BoxHello, pin: str | None, *, insecure: bool = False) -> Route:
    """Choose the route on which a token may be sent to a box.

    Args:
        url: Where it answered, from `parse_url`.
        box: Its hello, which is not trusted.
        pin: Fingerprint of the key of the token's box, if it is known.
        insecure: Use the address as it is, whatever machine answers there.

    Raises:
        StartupError: If there is none; nothing has been sent then.
    """
    if insecure or pin is None:
        return route_to_server(url, insecure=insecure, unsafe=_unpinned(url, box))
    if not url.startswith("https:") and not box.tls_port:
        raise StartupError(
            f"the box at {url} has no TLS port, and this terminal knows its box by a TLS key; is "
            "it another machine? If you have set listen.tls_port to 0, pair again with "
            "`inglenook chat --pair`"
        )
    return pinned_route(url, box, pin)


def route_to_pair(url: str, box: BoxHello, pin: str | None, *, insecure: bool = False) -> Route:
    """Choose the route on which a pairing code may be sent.

    The key in the box's hello is trusted, unless ``pin`` names another, and is stored as the box's.

    Raises:
        StartupError: If there is no route that is encrypted or local.
    """
    believed = pin or box.spki_sha256
    if not insecure and believed and (box.tls_port or url.startswith("https:")):
        return pinned_route(url, box, believed)
    if pin is not None and not insecure:
        raise StartupError(f"the box at {url} has no TLS port, so it has no key to compare")
    return route_to_server(url, insecure=insecure, unsafe=_unpinned(url, box))


def pinned_route(url: str, box: BoxHello, pin: str) -> Route:
    """The route over TLS to the key of this fingerprint."""
    secure = url if url.startswith("https:") else tls_url(url, box.tls_port)
    return Route(secure, pinned_context(pin), pin)


def route_to_server(url: str, *, insecure: bool, unsafe: str | None = None) -> Route:
    """Choose the route on which a token may be sent to a server whose TLS key is unknown.

    Over TLS it has to have a certificate that this system trusts.

    Args:
        url: From `parse_url`.
        insecure: Use the address as it is, whatever machine answers there.
        unsafe: The error's text if the route is not safe.

    Raises:
        StartupError: If it is not; nothing has been sent then.
    """
    if url.startswith("https:"):
        return Route(url, unchecked_context() if insecure else ssl.create_default_context())
    if insecure or on_this_machine(url):
        return Route(url)
    raise StartupError(
        unsafe
        or f"{url} is not encrypted, so others on the network could take the token; use "
        "https://…, or --insecure to send it all the same"
    )


def tls_url(url: str, tls_port: int) -> str:
    """The URL of the same host's TLS port."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    bare = host[: host.rindex("]") + 1] if "]" in host else host.partition(":")[0]
    return f"https://{bare}:{tls_port}"


def refused(route: Route, exc: Exception) -> StartupError:
    """Make the error of a server with another TLS key."""
    if isinstance(exc, WrongKey):
        return StartupError(
            f"the machine at {route.url} does not have the TLS key of the box this terminal is "
            "paired with, so it got no token. Another machine answers in its place, or the box has "
            "a new key; if you gave it one, pair again with `inglenook chat --pair`"
        )
    return StartupError(
        f"nothing vouches for the TLS key at {route.url}, so it got no token; name the box's key "
        "with --fingerprint (`inglenook pair` on the box shows it), or use --insecure"
    )


def _unpinned(url: str, box: BoxHello) -> str:
    if box.tls_port:
        return (
            f"the TLS key of the box at {url} is not known here, so the token could go to another "
            "machine; name the key with --fingerprint (`inglenook pair` on the box shows it), or "
            "leave --token out and pair this terminal"
        )
    return (
        f"the box at {url} has no TLS port (listen.tls_port), so others on the network could "
        "take the token and read along; --insecure sends it all the same"
    )


def _own_addresses() -> set[str]:
    return {
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
    }
