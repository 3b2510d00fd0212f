"""TLS to a server with a pinned key, as docs/protocol.md describes it. Kind: hands."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class WrongKey(ssl.SSLCertVerificationError):
    """The server's key is not the pinned one; nothing was sent to it."""


def key_fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate's SubjectPublicKeyInfo, base64url without padding.

    Args:
        certificate: DER or PEM.

    Raises:
        ValueError: If it is not a certificate.
    """
    is_pem = certificate.startswith(b"-----")
    load = x509.load_pem_x509_certificate if is_pem else x509.load_der_x509_certificate
    key = load(certificate).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")


def pinned_context(pin: str) -> ssl.SSLContext:
    """Make a client's context whose handshakes fail with `WrongKey` for every other key.

    ``pin`` is its fingerprint or the start of it, see `fingerprint.is_pin`.

    The check is part of the handshake, so with any library, no byte of the application is sent
    before it. Names, dates and authorities are not checked: the key alone is the identity.
    """
    context = unchecked_context()
    context.options |= ssl.OP_NO_RENEGOTIATION

    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            _require_key(self.getpeercert(binary_form=True), pin)

    context.sslobject_class = PinnedObject
    return context


def unchecked_context() -> ssl.SSLContext:
    """Make a client's context that accepts any key; not for secrets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _require_key(certificate: bytes | None, pin: str) -> None:
    try:
        shown = key_fingerprint(certificate or b"")
    except ValueError as exc:
        raise WrongKey("the server's certificate cannot be read") from exc
    if not hmac.compare_digest(shown[: len(pin)].encode(), pin.encode()):
        raise WrongKey("the server shows another key")
