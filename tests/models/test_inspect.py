"""Real files, each wrong in its own way."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from inglenook.common.errors import StartupError
from inglenook.models.info import ModelFileError
from inglenook.models.inspect import can_map, inspect_model
from tests.parts.gguf_files import CORRUPTIONS, Corruption, corrupt_variants, small_model


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
def test_a_bad_file_gives_a_sentence(tmp_path: Path, corruption: Corruption) -> None:
    """What is wrong, in which file, what to do; never a traceback, never an abort."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(corruption.make(small_model()))

    with pytest.raises(ModelFileError) as caught:
        inspect_model(path)

    sentence = str(caught.value)
    assert corruption.words in sentence
    assert sentence.startswith(f"cannot use the model file {path}: it ")
    assert sentence.isprintable()
    assert isinstance(caught.value, StartupError)


def test_the_corrupt_files_are_all_there_for_others(tmp_path: Path) -> None:
    """Tests of the whole program take the same files."""
    variants = corrupt_variants(tmp_path)

    assert len({path for path, _words in variants}) == len(CORRUPTIONS) > 60


def test_a_sound_file_is_described(tmp_path: Path) -> None:
    """Any file name will do."""
    path = tmp_path / "no suffix"
    path.write_bytes(small_model())

    assert inspect_model(path).name == "Small Test Model"


def test_bytes_behind_the_weights_are_no_harm(tmp_path: Path) -> None:
    """Llama.cpp does not look at them."""
    path = tmp_path / "long.gguf"
    path.write_bytes(small_model() + b"trailer")

    assert inspect_model(path).file_bytes == len(small_model()) + 7


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    """With the command that gets the starter model."""
    with pytest.raises(ModelFileError, match=r"it does not exist; .*inglenook model pull starter"):
        inspect_model(tmp_path / "gone.gguf")


def test_a_directory_is_not_a_model(tmp_path: Path) -> None:
    """People set model.path to where they put the file."""
    with pytest.raises(ModelFileError, match=r"is a directory; name the \.gguf file inside it"):
        inspect_model(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to would hang the start."""
    os.mkfifo(tmp_path / "pipe.gguf")

    with pytest.raises(ModelFileError, match="is not a regular file"):
        inspect_model(tmp_path / "pipe.gguf")


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    """The system's own reason is passed on."""
    loop = tmp_path / "loop.gguf"
    loop.symlink_to(loop)

    with pytest.raises(ModelFileError, match="cannot be read: Too many levels of symbolic links"):
        inspect_model(loop)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_said_so(tmp_path: Path) -> None:
    """The remedy is about permissions, not about downloading."""
    path = tmp_path / "secret.gguf"
    path.write_bytes(small_model())
    path.chmod(0)

    with pytest.raises(ModelFileError, match="may not be read; let the user that runs inglenook"):
        inspect_model(path)


def test_a_real_model_is_described_in_no_time(starter_path: Path) -> None:
    """98,052 texts of vocabulary and merges pass by in some 40 ms, or ten times that if traced."""
    started_s = time.process_time()
    info = inspect_model(starter_path)
    taken_s = time.process_time() - started_s

    assert taken_s < 1.0
    assert (info.architecture, info.quantization, info.context_length) == ("llama", "Q4_1", 8192)
    assert (info.vocab_size, info.parameter_count) == (49_152, 134_515_008)
    assert "<|im_start|>" in info.chat_template


def test_an_ordinary_file_can_be_mapped_and_a_missing_one_is_the_loaders(tmp_path: Path) -> None:
    """What cannot be opened is told by whoever loads it, in better words."""
    path = tmp_path / "model.gguf"
    path.write_bytes(small_model())

    assert can_map(path)
    assert can_map(tmp_path / "nowhere.gguf")
