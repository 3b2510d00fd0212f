"""Real models: one that answers questions, and two that are quick."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.engine.worker.llama import Model
from tests.engine.worker.toy import (
    ENDLESS_TOKENS,
    write_recurrent_toy_model,
    write_toy_model,
)
from tests.parts.vocabularies import vocabulary_folder


def _go_on(_fraction: float) -> bool:
    return True


@pytest.fixture(scope="session")
def starter(starter_model: Path) -> Iterator[Model]:
    """The starter model, loaded."""
    model = Model(str(starter_model), _go_on)
    yield model
    model.close()


@pytest.fixture(scope="session")
def toy_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy model's file."""
    path = tmp_path_factory.mktemp("toy") / "toy.gguf"
    write_toy_model(path)
    return path


@pytest.fixture(scope="session")
def endless_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model's, trained for answers of `ENDLESS_TOKENS`: no pool allows for longer ones."""
    path = tmp_path_factory.mktemp("toy") / "endless.gguf"
    write_toy_model(path, ENDLESS_TOKENS)
    return path


@pytest.fixture(scope="session")
def toy(toy_path: Path) -> Iterator[Model]:
    """The toy model, loaded."""
    model = Model(str(toy_path), _go_on)
    yield model
    model.close()


@pytest.fixture(scope="session", params=["attending", "recurrent"])
def either_toy(
    request: pytest.FixtureRequest, toy: Model, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Model]:
    """The toy model, and one whose state cannot be cut; an engine must serve both."""
    if request.param == "attending":
        yield toy
        return
    path = tmp_path_factory.mktemp("toy") / "recurrent.gguf"
    write_recurrent_toy_model(path)
    model = Model(str(path), _go_on)
    yield model
    model.close()


@pytest.fixture(scope="session")
def vocabularies() -> Path:
    """Real vocabularies, without models."""
    return vocabulary_folder()
