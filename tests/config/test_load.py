"""The settings file is found and read, or its reader hears why not."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inglenook.common.errors import ConfigError
from inglenook.config import load
from inglenook.config.load import FILE_BYTES_MAX, load_config
from inglenook.config.parse import Surroundings, parse_config

ENVIRON = {"HOME": "/home/anna"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def complaint(path: Path | None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, ENVIRON)
    return str(caught.value)


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user who may not look into root's temporary folders."""
    user = os.geteuid()
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_given_file_is_read(path: Path) -> None:
    """Relative paths in it start from its folder."""
    path.write_text("name: Küche\nmodel: {path: a.gguf}\n", encoding="utf-8")

    config = load_config(path, ENVIRON)

    assert config.name == "Küche"
    assert config.model.path == path.parent / "a.gguf"


def test_a_relative_path_to_the_file_works(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is relative in it becomes absolute, for the program may change folder."""
    path.write_text("model: {path: a.gguf}")
    monkeypatch.chdir(path.parent)

    assert load_config(Path("config.yaml"), ENVIRON).model.path == path.parent / "a.gguf"


def test_the_usual_place_is_looked_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no file is given."""
    monkeypatch.setattr(load, "DEFAULT_PATH", path)
    path.write_text("name: Kitchen")

    assert load_config(None, ENVIRON).name == "Kitchen"


def test_nothing_in_the_usual_place_is_every_default(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first start needs no file."""
    monkeypatch.setattr(load, "DEFAULT_PATH", path)

    assert load_config(None, ENVIRON).listen.port == 8377


def test_a_box_without_a_name_is_called_as_its_machine(path: Path) -> None:
    """Whatever this machine is called."""
    path.write_text("listen: {port: 80}")
    around = Surroundings(path.parent, ENVIRON, socket.gethostname())

    assert load_config(path, ENVIRON).name == parse_config("", "", around).name


def test_a_given_file_that_is_missing_is_a_fault(path: Path) -> None:
    """Whoever names a file means it."""
    assert complaint(path) == f"config: {path}: there is no such file; check the path"


def test_a_folder_is_a_fault(tmp_path: Path) -> None:
    """The likely mistake is the missing file name."""
    assert complaint(tmp_path) == f"config: {tmp_path}: it is a folder; give the file in it"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("given", [True, False])
def test_a_file_one_may_not_read_is_a_fault(
    path: Path, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    """In the usual place too: defaults in its stead would be a surprise."""
    monkeypatch.setattr(load, "DEFAULT_PATH", path)
    path.write_text("name: Kitchen")
    path.chmod(0o600)

    with nobody():
        said = complaint(path if given else None)

    assert said == (
        f"config: {path}: this user may not read it; allow it with 'chmod o+r', or run as root"
    )


def test_a_path_through_a_file_is_a_fault(path: Path) -> None:
    """Anything else the system says is passed on."""
    path.write_text("name: Kitchen")

    assert complaint(path / "x") == f"config: {path / 'x'}: it cannot be read: Not a directory"


def test_a_file_that_is_not_utf8_is_a_fault(path: Path) -> None:
    """With the place, for an editor to go to."""
    path.write_bytes("name: Küche".encode("latin-1"))

    assert complaint(path) == (f"config: {path}: it is not UTF-8 text, at byte 7; save it in UTF-8")


def test_a_byte_order_mark_is_no_fault(path: Path) -> None:
    """Some editors write one."""
    path.write_bytes(b"\xef\xbb\xbfname: Kitchen")

    assert load_config(path, ENVIRON).name == "Kitchen"


def test_a_huge_file_is_a_fault(path: Path) -> None:
    """It is not read to its end."""
    with path.open("wb") as file:
        file.truncate(FILE_BYTES_MAX + 1)

    assert complaint(path) == f"config: {path}: it is larger than 1 MiB; is it the right file?"


def test_faults_in_the_file_name_the_file(path: Path) -> None:
    """Each of them, as a compiler would."""
    path.write_text("prot: 1\nname: ''\n")

    assert complaint(path).splitlines() == [
        f"{path}: prot: unknown setting, did you mean 'listen.port'? (line 1)",
        f"{path}: name: '' is not a name of 1 to 63 bytes that can be shown (line 2)",
    ]
