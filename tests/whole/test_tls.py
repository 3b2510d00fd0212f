"""Over TLS everything is as it is without, under the key whose fingerprint the QR code holds."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.parts.box import Box, free_port, running_box
from tests.parts.phone import connected, long_chat


def tls_url(box: Box) -> str:
    ports = box.http("GET", "/.well-known/inglenook").json()["ports"]
    return f"https://127.0.0.1:{ports['tls']}"


def trusting_the_fingerprint() -> ssl.SSLContext:
    """As an app that compares the key itself: no name and no authority is checked."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def test_a_phone_asks_over_tls_under_the_key_that_was_shown(starter_model: Path) -> None:
    """The same messages; the same key in the QR code, in public, and after a restart."""
    context = trusting_the_fingerprint()
    with running_box(starter_model, {"listen": {"tls_port": free_port()}}) as box:
        token = box.pair("Ada")
        shown = box.control("POST", "/pair/open")["spki_sha256"]
        public = box.http("GET", "/.well-known/inglenook").json()
        async with connected(tls_url(box), token, ssl=context) as phone:
            answer = await phone.ask(long_chat(3))
        before = await fingerprint(tls_url(box))
        await speak_plainly_to(tls_url(box))
        box.restart()
        after = await fingerprint(tls_url(box))

    assert answer.done is not None
    assert answer.done["usage"]["completion_tokens"] == 3
    assert before == after == shown == public["spki_sha256"]


async def speak_plainly_to(url: str) -> None:
    """Somebody typed the address with the wrong scheme; it does no harm."""
    host, port = url.removeprefix("https://").split(":")
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200" not in await reader.read()
    writer.close()


async def fingerprint(url: str) -> str:
    """SHA-256 of the key a server shows, as base64url without padding."""
    host, port = url.removeprefix("https://").split(":")
    _reader, writer = await asyncio.open_connection(host, port, ssl=trusting_the_fingerprint())
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    key = x509.load_der_x509_certificate(shown).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
