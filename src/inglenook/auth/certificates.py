"""The TLS port's key and certificate, as the daemon uses them. Kind: hands.

`certify` makes them, in a process of its own. A note beside them describes them, so that an
ordinary start does not parse them.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

import msgspec

from inglenook.common.errors import StartupError
from inglenook.common.private_files import read_private, write_private

#: Apple's systems refuse server certificates that are valid for longer (support.apple.com/103769).
VALID_FOR: Final = timedelta(days=825)
RENEW_BEFORE: Final = timedelta(days=30)

#: Two seconds on a Pi 4 whose card is busy.
_CERTIFY_S = 60.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files of a TLS port, and the fingerprint that clients pin.

    Attributes:
        cert_path: PEM.
        key_path: PEM, unencrypted, mode 0600.
        spki_sha256: SHA-256 of the public key's SubjectPublicKeyInfo, 43 characters of base64url.
    """

    cert_path: Path
    key_path: Path
    spki_sha256: str

    @property
    def spki16(self) -> str:
        """First 16 characters of the fingerprint, for the mDNS record."""
        return self.spki_sha256[:16]


class CertificateRequest(msgspec.Struct, frozen=True):
    """Request to `certify`, as JSON.

    Attributes:
        names: Host names, ASCII, sorted.
        addresses: Of the box, sorted as text.
        now: Seconds since 1970, UTC.
    """

    folder: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    now: float


class CertificateReply(msgspec.Struct, frozen=True):
    """Reply of `certify`, as JSON.

    Attributes:
        spki_sha256: As in `Certificate`.
        valid_from, valid_until: Seconds since 1970, UTC.
        complaint: Why there is no certificate, for people; the other fields are then meaningless.
    """

    spki_sha256: str = ""
    valid_from: float = 0.0
    valid_until: float = 0.0
    complaint: str = ""


class _Note(msgspec.Struct, frozen=True):
    """Note about a certificate: its names, and hashes of the files it describes."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    made: CertificateReply
    files_sha256: str


def ensure_certificate(
    folder: Path,
    names: Iterable[str],
    addresses: Iterable[IPv4Address | IPv6Address],
    now: float,
) -> Certificate:
    """Return a certificate for these names and addresses; made anew only if the old one fails.

    Blocks, for a second if one has to be made.

    Args:
        folder: Folder of ``tls.key``, ``tls.crt`` and the note ``tls.json``.
        names: Host names, ASCII.
        addresses: Of the box.
        now: Seconds since 1970, UTC.

    Raises:
        StartupError: If a file cannot be read or written, or the key is damaged.
    """
    shown = sorted(str(address) for address in addresses)
    wanted = CertificateRequest(str(folder), tuple(sorted(names)), tuple(shown), now)
    made = _noted(folder, wanted)
    if made is None:
        made = _certify_aside(wanted)
        if made.complaint:
            raise StartupError(made.complaint)
        _note_down(folder, wanted, made)
    return Certificate(folder / "tls.crt", folder / "tls.key", made.spki_sha256)


def server_ssl_context(certificate: Certificate) -> ssl.SSLContext:
    """Make the context of a TLS port: version 1.2 or later, HTTP/1.1.

    A running server takes up a new certificate with ``context.load_cert_chain``.

    Raises:
        StartupError: If the files changed since `ensure_certificate` and no longer fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate.cert_path, certificate.key_path)
    except OSError as exc:  # ssl.SSLError is one
        raise StartupError(f"TLS cannot start with {certificate.cert_path}: {exc}.") from exc
    return context


def _noted(folder: Path, wanted: CertificateRequest) -> CertificateReply | None:
    """Return the note's facts, if they fit the files and the request."""
    try:
        note = msgspec.json.decode(read_private(folder / "tls.json"), type=_Note)
        if note.files_sha256 != _files_sha256(folder):
            return None
    except (OSError, msgspec.MsgspecError):
        return None
    fits = (note.names, note.addresses) == (wanted.names, wanted.addresses)
    last = note.made.valid_until - RENEW_BEFORE.total_seconds()
    return note.made if fits and note.made.valid_from <= wanted.now <= last else None


def _note_down(folder: Path, wanted: CertificateRequest, made: CertificateReply) -> None:
    note = _Note(wanted.names, wanted.addresses, made, _files_sha256(folder))
    try:
        write_private(folder / "tls.json", msgspec.json.encode(note))
    except OSError as exc:
        raise StartupError(f"{folder / 'tls.json'} cannot be written: {exc.strerror}") from exc


def _files_sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in ("tls.key", "tls.crt"):
        digest.update(hashlib.sha256(read_private(folder / name)).digest())
    return base64.urlsafe_b64encode(digest.digest()).decode()


def _certify_aside(wanted: CertificateRequest) -> CertificateReply:
    try:
        done = subprocess.run(
            (sys.executable, "-m", "inglenook.auth.certify"),
            input=msgspec.json.encode(wanted),
            stdout=subprocess.PIPE,
            timeout=_CERTIFY_S,
            check=True,
        )
        return msgspec.json.decode(done.stdout, type=CertificateReply)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError) as exc:
        text = f"No TLS certificate could be made in {wanted.folder}; set listen.tls_port to 0 to"
        raise StartupError(f"{text} do without, or look at what was said before this line") from exc
