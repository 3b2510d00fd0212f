"""The command line run in this process, for commands that need no daemon."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inglenook.cli import main
from tests.parts.box import Ran
from tests.parts.standin import StandIn, stand_in

#: Runs ``inglenook`` with these arguments, and settings whose state is in a folder of its own.
Inglenook = Callable[..., Ran]


#: What somebody may have set who runs these tests: how terminals are, and where things are kept.
_PERSONAL = (
    *(
        "DEBUG",
        "INGLENOOK_TOKEN",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "STATE_DIRECTORY",
    ),
    *("FORCE_COLOR", "NO_COLOR", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
)


@pytest.fixture(autouse=True)
def _nobody_in_particular(monkeypatch: pytest.MonkeyPatch) -> None:
    """A usual terminal, and nothing of whoever runs the tests."""
    for name in _PERSONAL:
        monkeypatch.delenv(name, raising=False)
    # As README has it: `inglenook` is found.
    monkeypatch.setenv("PATH", f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The command line sets up logging for a process of its own; here that is all tests'."""
    levels = {logger: logger.level for logger in _loggers()}
    yield
    for logger in _loggers():
        logger.setLevel(levels.get(logger, logging.NOTSET))


def _loggers() -> list[logging.Logger]:
    """Every logger there is by now."""
    found = logging.getLogger().manager.loggerDict.values()
    return [logger for logger in found if isinstance(logger, logging.Logger)]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file; its state is beside it."""
    path = tmp_path / "config.yaml"
    path.write_text(f"name: Kitchen\nstate_dir: {tmp_path / 'state'}\n")
    return path


@pytest.fixture
def inglenook(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Inglenook:
    """The command line, with this test's own settings unless others are named."""
    monkeypatch.setenv("HOME", str(config.parent))

    def run(*words: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        argv = list(words) if "--config" in words else [*words, "--config", str(config)]
        capsys.readouterr()
        try:
            returncode = main(argv)
        except SystemExit as ended:
            returncode = ended.code if isinstance(ended.code, int) else 0
        captured = capsys.readouterr()
        return Ran(returncode, captured.out, captured.err)

    return run


@pytest.fixture
def other(tmp_path: Path) -> Iterator[StandIn]:
    """Something that says what the test wants."""
    with stand_in("0123abcd", tmp_path / "box", tls_port=0) as standing:
        yield standing
