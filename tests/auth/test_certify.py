"""The TLS key is kept for ever; its certificate follows the box's names."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
import stat
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from inglenook.auth.certificates import Certificate, server_ssl_context
from inglenook.auth.certify import certify
from inglenook.common.errors import StartupError

NOW = datetime.now(UTC).timestamp()
DAY_S = 86_400.0
NAMES = ("kitchen-1a2b.local", "localhost")
ADDRESSES = tuple(ip_address(text) for text in ("127.0.0.1", "192.168.1.5", "fd00::5"))
PATIENCE_S = 30.0


def made(folder: Path, now: float = NOW) -> Certificate:
    return certify(folder, NAMES, ADDRESSES, now)


def parsed(certificate: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.cert_path.read_bytes())


def alternative_names(certificate: Certificate) -> x509.SubjectAlternativeName:
    return parsed(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_the_certificate_is_for_every_name_and_address(tmp_path: Path) -> None:
    """A client may call the box by any of them."""
    names = alternative_names(made(tmp_path))

    assert set(names.get_values_for_type(x509.DNSName)) == set(NAMES)
    assert set(names.get_values_for_type(x509.IPAddress)) == set(ADDRESSES)


def test_ipv6_link_local_addresses_are_left_out(tmp_path: Path) -> None:
    """They come and go with interfaces, and no browser opens them."""
    certificate = certify(tmp_path, NAMES, [ip_address("fe80::1"), ip_address("169.254.1.1")], NOW)

    assert alternative_names(certificate).get_values_for_type(x509.IPAddress) == [
        ip_address("169.254.1.1")
    ]


def test_both_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """Whoever has the key is the box."""
    certificate = made(tmp_path)

    for path in (certificate.key_path, certificate.cert_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_fingerprint_is_that_of_the_public_key(tmp_path: Path) -> None:
    """The form that Android and iOS pin: SHA-256 of the SubjectPublicKeyInfo."""
    certificate = made(tmp_path)
    public_key = parsed(certificate).public_key()
    spki = public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    assert base64.urlsafe_b64decode(certificate.spki_sha256 + "=") == hashlib.sha256(spki).digest()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    assert certificate.spki16 == certificate.spki_sha256[:16]


def test_no_certificate_is_valid_longer_than_phones_accept(tmp_path: Path) -> None:
    """825 days, from a day ago for the sake of clocks that are behind."""
    certificate = parsed(made(tmp_path))

    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 825
    assert certificate.not_valid_before_utc.timestamp() == int(NOW - DAY_S)


@pytest.mark.parametrize("later_days", [0, 1, 793])
def test_a_certificate_that_will_do_is_kept(tmp_path: Path, later_days: float) -> None:
    """Nothing is written on an ordinary start."""
    before = made(tmp_path).cert_path.read_bytes()

    after = certify(tmp_path, reversed(NAMES), reversed(ADDRESSES), NOW + later_days * DAY_S)

    assert after.cert_path.read_bytes() == before


@pytest.mark.parametrize(
    ("names", "addresses", "later_days"),
    [
        (NAMES[:1], ADDRESSES, 0),
        ((*NAMES, "study.local"), ADDRESSES, 0),
        (NAMES, ADDRESSES[:1], 0),
        (NAMES, (*ADDRESSES, ip_address("10.0.0.1")), 0),
        (NAMES, ADDRESSES, 795),
        (NAMES, ADDRESSES, 2000),
        (NAMES, ADDRESSES, -2),  # made while the clock was ahead
    ],
)
def test_a_certificate_that_will_not_do_is_made_anew_with_the_same_key(
    tmp_path: Path, names: tuple[str, ...], addresses: tuple[object, ...], later_days: float
) -> None:
    """Clients that pinned the key notice nothing."""
    before = made(tmp_path)
    old = parsed(before)

    after = certify(tmp_path, names, addresses, NOW + later_days * DAY_S)  # type: ignore[arg-type]  # the table mixes v4 and v6

    assert parsed(after).serial_number != old.serial_number
    assert after.spki_sha256 == before.spki_sha256


@pytest.mark.parametrize("content", [b"", b"damaged", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_damaged_certificate_is_made_anew(tmp_path: Path, content: bytes) -> None:
    """Nothing is lost with it."""
    before = made(tmp_path)
    before.cert_path.write_bytes(content)

    after = made(tmp_path)

    assert after == before
    assert set(alternative_names(after).get_values_for_type(x509.DNSName)) == set(NAMES)


def test_a_certificate_of_another_key_is_made_anew(tmp_path: Path) -> None:
    """The key counts; the certificate follows."""
    (tmp_path / "other").mkdir()
    other = made(tmp_path / "other")
    certificate = made(tmp_path)
    certificate.cert_path.write_bytes(other.cert_path.read_bytes())

    made(tmp_path)

    server_ssl_context(certificate)  # raises if they do not fit


def pem(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None
) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"damaged",
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(ec.generate_private_key(ec.SECP256R1()), b"password"),
        pem(rsa.generate_private_key(65537, 1024)),
    ],
    ids=["empty", "damaged", "other curve", "encrypted", "RSA"],
)
def test_a_damaged_key_is_reported_and_kept(tmp_path: Path, content: bytes) -> None:
    """Phones have pinned it; a new one is the operator's decision."""
    (tmp_path / "tls.key").write_bytes(content)

    with pytest.raises(StartupError, match=r"tls\.key is not an EC P-256 private key; restore"):
        made(tmp_path)

    assert (tmp_path / "tls.key").read_bytes() == content
    assert not (tmp_path / "tls.crt").exists()


def test_a_folder_that_is_missing_is_reported(tmp_path: Path) -> None:
    """The sentence names the folder and the reason."""
    with pytest.raises(StartupError, match=r"missing cannot be used: No such file or directory"):
        made(tmp_path / "missing")


def test_files_that_do_not_fit_are_reported(tmp_path: Path) -> None:
    """They may have been changed between making and using them."""
    certificate = made(tmp_path)
    certificate.cert_path.write_bytes(b"damaged")

    with pytest.raises(StartupError, match=r"TLS cannot start with .*tls\.crt"):
        server_ssl_context(certificate)


async def shake_hands(context: ssl.SSLContext, client: ssl.SSLContext) -> tuple[bytes, str | None]:
    """Connect a client to a server; give the certificate it saw and the TLS version."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with asyncio.timeout(PATIENCE_S):
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
            tls = writer.get_extra_info("ssl_object")
            seen = tls.getpeercert(binary_form=True), tls.version()
            writer.close()
            await writer.wait_closed()
    return seen


async def test_a_client_that_trusts_the_certificate_connects_by_address(tmp_path: Path) -> None:
    """The name check passes, and the key seen is the one in the fingerprint."""
    certificate = await asyncio.to_thread(made, tmp_path)
    context = await asyncio.to_thread(server_ssl_context, certificate)
    client = await asyncio.to_thread(ssl.create_default_context, cafile=str(certificate.cert_path))

    seen, version = await shake_hands(context, client)

    spki = (
        x509.load_der_x509_certificate(seen)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    digest = base64.urlsafe_b64encode(hashlib.sha256(spki).digest()).decode()
    assert digest.rstrip("=") == certificate.spki_sha256
    assert version == "TLSv1.3"


def test_old_tls_is_not_spoken(tmp_path: Path) -> None:
    """1.2 is the floor."""
    assert server_ssl_context(made(tmp_path)).minimum_version is ssl.TLSVersion.TLSv1_2
