"""README's commands can be typed as they stand there."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from inglenook.cli.commands import make_parser
from inglenook.config.parse import Surroundings, parse_config

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text()
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
INLINE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))
COMMAND = re.compile(r"^(?:sudo )?(?:\.venv/bin/)?inglenook (.+)$")

#: What stands between backticks and is the name of a command, or of a part of one.
TYPED = sorted(
    {
        match[1]
        for line in [*SHELL.splitlines(), *INLINE]
        if (match := COMMAND.match(line.partition("#")[0].replace("TOKEN=$(", "").strip(" )")))
    }
)
TARGETS = sorted(
    {
        word
        for line in [*SHELL.splitlines(), *INLINE]
        for word in re.findall(r"\bmake ([a-z-]+)", line)
    }
)


@pytest.mark.parametrize("words", TYPED)
def test_every_command_is_one(words: str) -> None:
    """With its options."""
    args = make_parser().parse_args(shlex.split(words))

    assert args.run


@pytest.mark.parametrize("target", TARGETS)
def test_everything_made_can_be(target: str) -> None:
    """Each is a target; with a settings file, that file is the one meant."""
    words = ["make", "--dry-run", "--always-make", target, "CONFIG=my kitchen.yaml"]
    made = subprocess.run(
        words, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )

    assert made.returncode == 0, made.stderr
    if target in ("up", "pair"):
        assert f"inglenook {target} --config 'my kitchen.yaml'" in made.stdout


def test_the_settings_shown_are_settings() -> None:
    """Nothing in them is unknown."""
    for text in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL):
        parse_config(text, "README", Surroundings(Path("/"), {"HOME": "/home/ada"}, "box"))


def test_it_says_how_to_go_on() -> None:
    """From the starter to a real model; stopping, updating, removing; a firewall, a lost phone."""
    for words in (
        "curl -L",
        "inglenook model use",
        "service uninstall",
        "systemctl disable --now inglenook.socket",
        "git pull && make setup",
        "8377",
        "8378",
        "5353",
        "If a phone cannot open the page",
    ):
        assert words in README
