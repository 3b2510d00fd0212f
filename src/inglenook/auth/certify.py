"""Makes the key and the self-signed certificate of the TLS port. Kind: hands.

Phones pin the key, not the certificate: the key is made once, and the certificate whenever the
box's names or addresses change. `certificates` runs this as a process of its own, ``python -m
inglenook.auth.certify``: the library takes 8 MB, which the daemon saves.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from inglenook.auth.certificates import (
    RENEW_BEFORE,
    VALID_FOR,
    Certificate,
    CertificateReply,
    CertificateRequest,
)
from inglenook.common.errors import StartupError
from inglenook.common.private_files import read_private, write_private

#: A board without a battery clock may be a little behind its phones, or ahead.
_BACKDATED = timedelta(days=1)


def certify(
    folder: Path,
    names: Iterable[str],
    addresses: Iterable[IPv4Address | IPv6Address],
    now: float,
) -> Certificate:
    """Return a certificate for these names and addresses; made anew only if the old one fails.

    Args:
        folder: Folder of ``tls.key`` and ``tls.crt``.
        names: Host names, ASCII.
        addresses: Of the box; IPv6 link-local ones are left out, because browsers cannot open them.
        now: Seconds since 1970, UTC.

    Raises:
        StartupError: If a file cannot be read or written, or the key is damaged. A damaged key
            stays as it is, because a backup may have it.
    """
    key_path, cert_path = folder / "tls.key", folder / "tls.crt"
    wanted = _alternative_names(names, addresses)
    moment = datetime.fromtimestamp(now, UTC)
    try:
        key = _read_key(key_path)
        if key is None:
            key = ec.generate_private_key(ec.SECP256R1())
            write_private(key_path, _key_pem(key))
        if not _will_do(cert_path, key, wanted, moment):
            certificate = _sign(key, wanted, moment)
            write_private(cert_path, certificate.public_bytes(serialization.Encoding.PEM))
    except OSError as exc:
        raise StartupError(
            f"The TLS key and certificate in {folder} cannot be used: {exc.strerror}; make sure "
            "the folder exists, has space, and belongs to the user this runs as."
        ) from exc
    fingerprint = base64.urlsafe_b64encode(hashlib.sha256(_spki(key)).digest())
    return Certificate(cert_path, key_path, fingerprint.decode().rstrip("="))


def main() -> int:
    """Read a request from standard input, and write the reply to standard output."""
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=CertificateRequest)
    addresses = [ip_address(text) for text in wanted.addresses]
    try:
        certificate = certify(Path(wanted.folder), wanted.names, addresses, wanted.now)
        parsed = x509.load_pem_x509_certificate(read_private(certificate.cert_path))
    except StartupError as exc:
        made = CertificateReply(complaint=str(exc))
    else:
        made = CertificateReply(
            certificate.spki_sha256,
            parsed.not_valid_before_utc.timestamp(),
            parsed.not_valid_after_utc.timestamp(),
        )
    sys.stdout.buffer.write(msgspec.json.encode(made))
    return 0


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(read_private(path), password=None)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:  # TypeError: it wants a password
        raise _damaged(path) from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _damaged(path)
    return key


def _damaged(path: Path) -> StartupError:
    return StartupError(
        f"{path} is not an EC P-256 private key; restore a copy, or delete it and pair again every "
        "phone that uses TLS."
    )


def _alternative_names(
    names: Iterable[str], addresses: Iterable[IPv4Address | IPv6Address]
) -> set[x509.GeneralName]:
    wanted: set[x509.GeneralName] = {x509.DNSName(name) for name in names}
    return wanted | {
        x509.IPAddress(address)
        for address in addresses
        if isinstance(address, IPv4Address) or not address.is_link_local
    }


def _will_do(
    path: Path,
    key: ec.EllipticCurvePrivateKey,
    wanted: set[x509.GeneralName],
    moment: datetime,
) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(read_private(path))
        public_key = certificate.public_key()
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (FileNotFoundError, ValueError, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False  # a certificate is easily made again, unlike a key
    return (
        public_key == key.public_key()
        and set(extension.value) == wanted
        and certificate.not_valid_before_utc <= moment
        and moment + RENEW_BEFORE <= certificate.not_valid_after_utc
    )


def _sign(
    key: ec.EllipticCurvePrivateKey, names: set[x509.GeneralName], moment: datetime
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Inglenook")])
    start = moment - _BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName(sorted(names, key=repr)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


if __name__ == "__main__":
    sys.exit(main())
