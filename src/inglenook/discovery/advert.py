"""The box's mDNS advertisement: TXT record, instance name, host name. Kind: rules."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, get_args

from inglenook.common.network_cards import MAC

SERVICE_TYPE = "_inglenook._tcp.local."

Status = Literal["ready", "loading", "hot", "sleep"]
Api = Literal["ws", "oai", "oll"]

SERVER_ID = re.compile(r"[0-9a-f]{8}")
FINGERPRINT = re.compile(r"[A-Za-z0-9_-]{16}")

# RFC 6763 section 6.2: a TXT record should stay under 200 bytes.
TXT_LIMIT_BYTES = 199
# RFC 6763 section 4.1.1 allows 63; three are kept for the `-99` a name conflict may add.
INSTANCE_LIMIT_BYTES = 60
ONE_DOT_LEADER = "\u2024"
# RFC 1035 section 2.3.4 allows 63 for a label; the rest is for `-ab12` and `-99`.
_SLUG_LIMIT = 50
_VERSION_LIMIT_BYTES = 24
# A model's name cut shorter than this is useless, so the key is left out.
_MODEL_LEAST_BYTES = 8


@dataclass(frozen=True, slots=True)
class Advert:
    """Facts for phones that are not paired yet: no secret, no address.

    Attributes:
        name: The box's name for people.
        server_id: The id by which clients recognise the box: 8 lowercase hex digits.
        version: Version of this program.
        port: Port of HTTP and WebSocket.
        api: Protocols served: WebSocket, OpenAI, Ollama.
        tls: Whether a TLS port is open, too.
        fingerprint: First 16 base64url characters of the SHA-256 of the TLS key, or None.
        pairing_open: Whether a phone may pair now.
        models: Names of the models it serves, the one that answers by default first.
        mac: The MAC address that wakes the box, such as ``dc:a6:32:01:02:03``, or None.
        status: Whether an answer can start at once, and why not.
    """

    name: str
    server_id: str
    version: str
    port: int
    api: tuple[Api, ...] = ("ws",)
    tls: bool = False
    fingerprint: str | None = None
    pairing_open: bool = False
    models: tuple[str, ...] = ()
    mac: str | None = None
    status: Status = "loading"

    def __post_init__(self) -> None:
        assert SERVER_ID.fullmatch(self.server_id), self.server_id
        assert self.fingerprint is None or FINGERPRINT.fullmatch(self.fingerprint), self.fingerprint
        assert self.mac is None or MAC.fullmatch(self.mac), self.mac


def txt_record(advert: Advert) -> dict[str, str]:
    """Return the TXT record, in the protocol's order and always under 200 bytes as encoded.

    ``models`` has the names of all models, separated by commas, and ``model`` the first. If the
    record is too long, these are left out in turn: names in ``models`` from the end, the end of the
    first name, the whole of it, the MAC address, the fingerprint.
    """
    cut = (_cut(name.replace(",", " "), TXT_LIMIT_BYTES) for name in advert.models)
    names = list(filter(None, cut))
    txt = {
        "txtvers": "1",
        "id": advert.server_id,
        "v": _cut(advert.version, _VERSION_LIMIT_BYTES),
        "api": ",".join(sorted(set(advert.api), key=get_args(Api).index)),
        "tls": str(int(advert.tls)),
        "fp": advert.fingerprint or "",
        "auth": "token",
        "pair": str(int(advert.pairing_open)),
        "model": _cut(next(iter(advert.models), ""), TXT_LIMIT_BYTES),
        "models": ",".join(names),
        "mac": advert.mac or "",
        "st": advert.status,
    }
    while names and txt_bytes(txt) > TXT_LIMIT_BYTES:
        names.pop()
        txt["models"] = ",".join(names)
    if not txt["models"]:
        del txt["models"]
    over_bytes = txt_bytes(txt) - TXT_LIMIT_BYTES
    if over_bytes > 0:
        keep_bytes = len(txt["model"].encode()) - over_bytes
        txt["model"] = _cut(txt["model"], keep_bytes) if keep_bytes >= _MODEL_LEAST_BYTES else ""
    for key in ("model", "mac", "fp"):
        if not txt[key] or txt_bytes(txt) > TXT_LIMIT_BYTES:
            del txt[key]
    return txt


def txt_bytes(txt: dict[str, str]) -> int:
    """Return a TXT record's size on the wire: a length byte and ``key=value`` for each pair."""
    return sum(1 + len(f"{key}={value}".encode()) for key, value in txt.items())


def host_name(name: str, server_id: str) -> str:
    """Derive the box's host name without ``.local``: ``Kitchen``, ``ab12cd34`` -> ``kitchen-ab12``.

    The digits keep two boxes of one name apart. A name without Latin letters becomes ``inglenook``.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_SLUG_LIMIT].rstrip("-")
    if not re.search("[a-z]", slug):
        slug = "inglenook"
    return f"{slug}-{server_id[:4]}"


def instance_name(name: str) -> str:
    """Make a name fit to be a DNS-SD instance: no control characters, 63 bytes with any suffix.

    A full stop is valid in an instance name, but zeroconf (0.154) splits the name there and Avahi
    then shows nothing; a character that looks the same and is the same by NFKC replaces it.
    """
    return _cut(name.replace(".", ONE_DOT_LEADER), INSTANCE_LIMIT_BYTES) or "Inglenook"


def clean_text(text: str) -> str:
    """Compose a text, drop control characters, and make every run of white space one space."""
    composed = unicodedata.normalize("NFC", text)
    # Cc are control characters; Cs halves of characters, which UTF-8 cannot carry.
    drop = {char for char in composed if unicodedata.category(char) in {"Cc", "Cs"}}
    return " ".join("".join(c for c in composed if c.isspace() or c not in drop).split())


def _cut(text: str, limit_bytes: int) -> str:
    """Clean a text and cut it to ``limit_bytes`` of UTF-8, never within a character."""
    return clean_text(text).encode()[:limit_bytes].decode("utf-8", "ignore").strip()
