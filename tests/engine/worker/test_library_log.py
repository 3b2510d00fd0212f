"""What the library has to say reaches the log and, of errors, the first one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from inglenook.engine.worker.context import Context
from inglenook.engine.worker.library_log import library_log
from inglenook.engine.worker.llama import Model, ModelRefused


def load(path: Path) -> None:
    Model(str(path), lambda _fraction: True).close()


def test_errors_are_passed_on_and_the_first_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of three errors in a row the first names the cause."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"hello" * 100)
    library_log.clear()

    with pytest.raises(ModelRefused):
        load(path)

    assert library_log.first_error == "invalid magic characters: 'hell', expected 'GGUF'"
    assert any("failed to load model" in message for message in caplog.messages)
    library_log.clear()
    assert library_log.first_error == ""


def test_warnings_are_passed_on_and_are_no_errors(
    toy: Model, caplog: pytest.LogCaptureFixture
) -> None:
    """A pool larger than the model's training is one."""
    library_log.clear()

    Context(toy, cells=4096, kv_type="f16", sequences=1, threads=1).close()

    assert any("n_ctx_train" in message for message in caplog.messages)
    assert library_log.first_error == ""


def test_the_rest_is_kept_quiet(toy_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Hundreds of lines about a model that loads."""
    with caplog.at_level(logging.DEBUG):
        load(toy_path)

    assert caplog.messages == []
