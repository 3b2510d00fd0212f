"""Other programs are run to their end, and what they say on failure is passed on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from inglenook.cli.service.systemctl import last_words, require_systemd, run
from inglenook.common.errors import StartupError


def test_what_succeeds_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """systemctl tells of links it made; our own lines say what matters."""
    run([sys.executable, "-c", "print('Created symlink')"])

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; sys.exit('Job failed')", "Job failed"),
        ("print('on stdout'); exit(3)", "on stdout"),
        ("exit(3)", "3"),
    ],
)
def test_what_fails_is_quoted(script: str, said: str) -> None:
    """Its words, or else its exit code."""
    with pytest.raises(StartupError, match=rf"` failed: {said}$"):
        run([sys.executable, "-c", script])


def test_what_is_not_there_is_named() -> None:
    """On a system without systemd."""
    with pytest.raises(StartupError, match="there is no no-such-program on this machine"):
        run(["no-such-program"])


def test_a_log_that_may_not_be_read_is_empty(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here there is no journalctl at all."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert last_words("inglenook.service", 10) == []


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="this machine has systemd")
def test_a_machine_without_systemd_is_told_what_to_do_instead() -> None:
    """A container, or another init."""
    with pytest.raises(StartupError, match="have whatever does start `inglenook run`"):
        require_systemd()
