"""`inglenook config` prints what is in force, so that it can be kept as a settings file."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Inglenook


def test_what_is_printed_gives_the_same_settings_again(
    inglenook: Inglenook, tmp_path: Path
) -> None:
    """Every setting is there, those from the file as well as the defaults."""
    once = inglenook("config")
    copy = tmp_path / "copy.yaml"
    copy.write_text(once.out)
    twice = inglenook("config", "--config", str(copy))

    assert (once.returncode, once.err) == (0, "")
    assert "name: Kitchen\n" in once.out
    assert "  port: 8377\n" in once.out
    assert twice.out == once.out
