"""An ordinary start needs no process to make a certificate; whatever has changed does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from inglenook.auth.certificates import Certificate, ensure_certificate, server_ssl_context
from inglenook.auth.certify import certify
from inglenook.common.errors import StartupError

NOW = datetime.now(UTC).timestamp()
DAY_S = 86_400.0
NAMES = ("kitchen-1a2b.local", "localhost")
ADDRESSES = (ip_address("192.168.1.5"), ip_address("fd00::5"))


def ensured(folder: Path, names: tuple[str, ...] = NAMES, later_days: float = 0.0) -> Certificate:
    return ensure_certificate(folder, names, ADDRESSES, NOW + later_days * DAY_S)


def test_it_is_what_certify_makes(tmp_path: Path) -> None:
    """Files that fit each other, and the fingerprint of the key in them."""
    certificate = ensured(tmp_path)

    assert certificate == certify(tmp_path, NAMES, ADDRESSES, NOW)
    server_ssl_context(certificate)  # raises if they do not fit


def test_an_ordinary_start_makes_nothing(tmp_path: Path) -> None:
    """Not even a process: what is kept is known to do."""
    before = ensured(tmp_path)
    written = before.cert_path.stat().st_mtime_ns

    assert ensure_certificate(tmp_path, reversed(NAMES), reversed(ADDRESSES), NOW) == before
    assert before.cert_path.stat().st_mtime_ns == written


@pytest.mark.slow
def test_the_daemon_does_without_the_library() -> None:
    """It takes 8 MB of memory."""
    words = "import inglenook.daemon, sys; print('cryptography' in sys.modules)"
    said = subprocess.run((sys.executable, "-c", words), capture_output=True, check=True, text=True)

    assert said.stdout == "False\n"


def _damage(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(b"damaged")


@pytest.mark.parametrize(
    ("happens", "names", "later_days"),
    [
        (_damage("tls.crt"), NAMES, 0),
        (_damage("tls.json"), NAMES, 0),
        (lambda folder: (folder / "tls.crt").unlink(), NAMES, 0),
        (lambda folder: None, (*NAMES, "study.local"), 0),
        (lambda folder: None, NAMES, 796),
        (lambda folder: None, NAMES, -2),
    ],
    ids=["certificate damaged", "note damaged", "certificate gone", "name", "old", "clock"],
)
def test_what_will_not_do_is_made_anew(
    tmp_path: Path, happens: Callable[[Path], object], names: tuple[str, ...], later_days: float
) -> None:
    """With the same key; whatever the note says of files that are others by now."""
    before = ensured(tmp_path)
    happens(tmp_path)

    after = ensured(tmp_path, names, later_days)

    assert after.spki_sha256 == before.spki_sha256
    server_ssl_context(after)


def test_why_there_is_none_is_said(tmp_path: Path) -> None:
    """By whichever process found it out."""
    ensured(tmp_path)
    (tmp_path / "tls.key").write_bytes(b"damaged")

    with pytest.raises(StartupError, match=r"tls\.key is not an EC P-256 private key; restore"):
        ensured(tmp_path)
    with pytest.raises(StartupError, match=r"missing cannot be used: No such file or directory"):
        ensured(tmp_path / "missing")
