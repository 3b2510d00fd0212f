"""A pinned connection is one to the holder of the key, or none: not a byte goes to another."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inglenook.auth.certificates import Certificate
from inglenook.auth.certify import certify
from inglenook.client.tls_pin import WrongKey, key_fingerprint, pinned_context

SECRET = b"the token"
PATIENCE_S = 20.0


def made(folder: Path) -> Certificate:
    folder.mkdir(exist_ok=True)
    return certify(folder, ["localhost"], [], datetime.now(UTC).timestamp())


class Listener:
    """A TLS server for one connection, which notes what it is told."""

    def __init__(self, certificate: Certificate, version: ssl.TLSVersion) -> None:
        self.heard = b""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.maximum_version = version
        self._context.load_cert_chain(certificate.cert_path, certificate.key_path)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, name="listener")

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._thread.join(PATIENCE_S)
        self._socket.close()

    def _listen(self) -> None:
        with self._socket.accept()[0] as plain:
            plain.settimeout(PATIENCE_S)
            try:
                with self._context.wrap_socket(plain, server_side=True) as secure:
                    while data := secure.recv(100):
                        self.heard += data
            except OSError:
                # Whoever came has gone.
                pass


async def send(port: int, pin: str) -> None:
    context = pinned_context(pin)
    _reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(SECRET)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("characters", [16, 43])
def test_the_holder_of_the_key_is_told(
    tmp_path: Path, version: ssl.TLSVersion, characters: int
) -> None:
    """Named by its whole fingerprint, or by what people compare of it."""
    certificate = made(tmp_path)
    with Listener(certificate, version) as listener:
        asyncio.run(send(listener.port, certificate.spki_sha256[:characters]))

    assert listener.heard == SECRET


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_another_key_is_told_nothing(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Whatever names its certificate has."""
    pin = made(tmp_path / "box").spki_sha256
    with Listener(made(tmp_path / "other"), version) as listener, pytest.raises(WrongKey):
        asyncio.run(send(listener.port, pin))

    assert listener.heard == b""


def test_a_new_certificate_for_the_same_key_is_the_same(tmp_path: Path) -> None:
    """As the box makes one when its address changes; PEM or DER."""
    first = made(tmp_path)
    before = first.cert_path.read_bytes()
    again = certify(tmp_path, ["other"], [], datetime.now(UTC).timestamp())
    after = again.cert_path.read_bytes()

    assert before != after
    assert key_fingerprint(before) == key_fingerprint(after) == first.spki_sha256
    assert key_fingerprint(ssl.PEM_cert_to_DER_cert(after.decode())) == first.spki_sha256
