"""Over TLS everything is as it is without, under the key whose fingerprint the QR code holds."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import signal
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.parts.box import READY_S, Box, free_port, running_box
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


async def test_a_reload_takes_up_a_new_certificate(starter_model: Path) -> None:
    """For the names and addresses the box has by then; the key, and who is connected, stay."""
    context = trusting_the_fingerprint()
    with running_box(starter_model, {"listen": {"tls_port": free_port()}}) as box:
        before, key = await shown_by(tls_url(box)), await fingerprint(tls_url(box))
        async with connected(tls_url(box), box.pair("Ada"), ssl=context) as phone:
            # It fits; so nothing is made.
            os.kill(box.pid, signal.SIGHUP)
            box.wait_log("settings read anew")
            # As good as one that is about to run out.
            (box.state_dir / "tls.crt").unlink()
            os.kill(box.pid, signal.SIGHUP)
            box.wait_log("the TLS certificate is a new one", READY_S)
            after = await shown_by(tls_url(box))
            answer = await phone.ask(long_chat(3))
        (box.state_dir / "tls.key").write_text("damaged")
        os.kill(box.pid, signal.SIGHUP)
        box.wait_log("the TLS certificate stays as it was: .*tls.key", READY_S)
        assert await shown_by(tls_url(box)) == after
        assert box.log().count("the TLS certificate is a new one") == 1

    assert answer.done is not None
    assert before != after
    assert key_of(after) == key


async def speak_plainly_to(url: str) -> None:
    """Somebody typed the address with the wrong scheme; it does no harm."""
    host, port = url.removeprefix("https://").split(":")
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200" not in await reader.read()
    writer.close()


async def fingerprint(url: str) -> str:
    """SHA-256 of the key a server shows, as base64url without padding."""
    return key_of(await shown_by(url))


async def shown_by(url: str) -> bytes:
    """The certificate a server shows."""
    host, port = url.removeprefix("https://").split(":")
    _reader, writer = await asyncio.open_connection(host, port, ssl=trusting_the_fingerprint())
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return shown


def key_of(certificate: bytes) -> str:
    """SHA-256 of a certificate's key, as base64url without padding."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
