"""Exit codes and where what is printed; never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inglenook import __version__
from inglenook.cli import main
from inglenook.cli.commands import make_parser
from inglenook.common.errors import ConfigError
from tests.cli.conftest import Inglenook
from tests.parts.box import run_inglenook

COMMANDS = ["up", "run", "pair", "devices", "model", "chat", "find", "tune", "bench", "config"]


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["--nonsense"],
        ["run", "extra"],
        ["pair", "--name"],
        ["devices", "nonsense"],
        ["devices", "add"],
        ["devices", "revoke"],
        ["devices", "rename", "only-one"],
        ["model", "pull"],
        ["model", "pull", "gpt-5"],
        ["find", "--timeout", "soon"],
        ["chat", "--url"],
        ["config", "--config"],
    ],
)
def test_wrong_usage_is_exit_code_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage on stderr, and nothing on stdout."""
    with pytest.raises(SystemExit) as caught:
        main(words)

    captured = capsys.readouterr()
    assert caught.value.code == 2
    assert captured.out == ""
    assert "usage: inglenook" in captured.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["modle"], "there is no 'modle'; did you mean 'model'?"),
        (["devices", "revok", "x"], "there is no 'revok'; did you mean 'revoke'?"),
        (["zzz"], "there is no 'zzz'; there are up, run, pair,"),
        (["find", "--timeout", "-1"], "argument --timeout: must be 2 to 3600"),
        (["find", "--timeout", "1.9"], "argument --timeout: must be 2 to 3600"),
        (["find", "--timeout", "nan"], "argument --timeout: must be 2 to 3600"),
        (["find", "--timeout", "inf"], "argument --timeout: must be 2 to 3600"),
        (["find", "--timeout", "1e9"], "argument --timeout: must be 2 to 3600"),
        *(
            (words, "is not UTF-8; set this terminal to UTF-8")
            for words in (
                ["devices", "add", "--name", "K\udcfcche"],
                ["devices", "revoke", "K\udcfcche"],
                ["devices", "rename", "x", "K\udcfcche"],
                ["devices", "rename", "K\udcfcche", "x"],
                ["pair", "--name", "K\udcfcche"],
                ["wake", "K\udcfcche"],
            )
        ),
    ],
)
def test_a_slip_is_told_with_its_reason(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was meant, what may be given; and no escapes of what could not be read."""
    with pytest.raises(SystemExit) as caught:
        main(words)

    captured = capsys.readouterr()
    assert caught.value.code == 2
    assert told in captured.err
    assert "udc" not in captured.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["devices", "revoke", "a"], "no device is called 'a'; `inglenook devices` lists them"),
        (["model", "info", "/no.gguf"], "it does not exist; check the path, and that the disk"),
        (["tune", "--model", "/no.gguf"], "it does not exist; check the path, and that the disk"),
        (["wake", "aa:bb:cc:dd:ee:zz"], "'aa:bb:cc:dd:ee:zz' is not a MAC address; write for"),
        (["wake", "kitchen"], "Kitchen is this very machine, which is awake"),
    ],
)
def test_the_reason_given_is_the_true_one(
    inglenook: Inglenook, words: list[str], told: str
) -> None:
    """In one line behind the program's name: no capital in the middle, no full stop."""
    ran = inglenook(*words)

    assert (ran.returncode, ran.out) == (1, "")
    assert told in ran.err
    assert ran.err.startswith("inglenook: ")
    assert not ran.err.endswith(".\n")


@pytest.mark.parametrize("value", ["-Ab3_xYz9-Qw81kLm", "--b3_xYz9-Qw81kLm"])
@pytest.mark.parametrize("option", ["--fingerprint", "--token"])
def test_a_value_may_begin_with_a_dash(option: str, value: str) -> None:
    """One key in 64 has such a fingerprint, and it is shown for the user to type."""
    asked = make_parser().parse_args(["chat", "--insecure", option, value, "--debug"])

    assert getattr(asked, option[2:]) == value
    assert asked.insecure
    assert asked.debug


@pytest.mark.parametrize("words", [["--token", "--insecure"], ["--token", "-h"], ["--token"]])
def test_an_option_is_no_value(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What was forgotten is said."""
    with pytest.raises(SystemExit):
        make_parser().parse_args(["chat", *words])

    assert "argument --token: expected one argument" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], *([command] for command in COMMANDS)])
def test_every_command_explains_itself(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """On stdout, as it was asked for."""
    with pytest.raises(SystemExit) as caught:
        main([*words, "--help"])

    captured = capsys.readouterr()
    assert caught.value.code == 0
    assert captured.err == ""
    if not words:
        assert all(f"\n    {command} " in captured.out for command in COMMANDS)


def test_without_a_word_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever just tries it is not scolded."""
    assert main([]) == 0
    assert "usage: inglenook" in capsys.readouterr().out


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """For bug reports."""
    with pytest.raises(SystemExit):
        main(["--version"])

    assert capsys.readouterr().out == f"inglenook {__version__}\n"


def test_help_is_quick() -> None:
    """None of the large libraries is imported to print it, or that of any command."""
    heavy = "aiohttp,zeroconf,llama_cpp,rich,websockets,cryptography,msgspec"
    program = (
        "import sys; from inglenook.cli import main\n"
        f"for words in [[], *([name] for name in {COMMANDS})]:\n"
        "    try: main([*words, '--help'])\n"
        "    except SystemExit: pass\n"
        f"print([name for name in '{heavy}'.split(',') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=40
    )

    assert done.stderr == "[]\n"


@pytest.mark.parametrize("command", [["config"], ["devices"], ["model"], ["run"], ["pair"]])
def test_wrong_settings_are_exit_code_78_with_every_fault(
    inglenook: Inglenook, tmp_path: Path, command: list[str]
) -> None:
    """As sysexits.h has it, so that systemd need not try again."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("listen: {prot: 1, port: yes}\nname: [x]\n")

    ran = inglenook(*command, "--config", str(bad))

    assert ran.returncode == 78
    assert ran.out == ""
    assert all(fault in ran.err for fault in ("listen.prot", "listen.port", "name"))
    assert all(line.startswith(f"inglenook: {bad}") for line in ran.err.splitlines())


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"\xff\xfe\x00",
        b"a: b: c",
        b"- list",
        b"\x00",
        b"[" * 5000,
        b"x" * (2 << 20),
        b"&a [*a]",
    ],
)
def test_settings_that_cannot_be_read_are_a_sentence(
    inglenook: Inglenook, tmp_path: Path, content: bytes | None
) -> None:
    """Missing, not text, not YAML, far too large."""
    bad = tmp_path / "bad.yaml"
    if content is not None:
        bad.write_bytes(content)

    ran = inglenook("config", "--config", str(bad))

    assert ran.returncode == 78
    assert str(bad) in ran.err
    assert "Traceback" not in ran.err


def test_a_folder_as_settings_is_a_sentence(inglenook: Inglenook, tmp_path: Path) -> None:
    """People name the folder they keep it in."""
    ran = inglenook("config", "--config", str(tmp_path))

    assert ran.returncode == 78
    assert "it is a folder" in ran.err


def test_debug_shows_the_trace(config: Path, tmp_path: Path) -> None:
    """For whoever has to mend it; with the option as well as with the variable."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("nonsense: 1\n")

    with pytest.raises(ConfigError):
        main(["config", "--debug", "--config", str(bad)])


@pytest.mark.slow
def test_output_into_a_pipe_that_closes_is_no_fault(config: Path) -> None:
    """`inglenook config | head -1` ends quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "inglenook", "config", "--config", config],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=40,
        check=False,
    )
    os.close(writer)

    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.slow
def test_the_module_runs_as_the_command_does(config: Path, tmp_path: Path) -> None:
    """`python -m inglenook`, as the tests and the units start it."""
    ran = run_inglenook(("config", "--config", str(config)), {"HOME": str(tmp_path)})

    assert ran.returncode == 0
    assert "name: Kitchen" in ran.out
