"""The wiring, where it can be seen without running it all."""

from __future__ import annotations

from pathlib import Path

from inglenook.config import load_config
from inglenook.daemon import Daemon


def test_the_model_is_named_before_it_is_read(tmp_path: Path) -> None:
    """A question that comes while it loads is put the way this model likes to be asked."""
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {tmp_path}\nmodel: {{path: /srv/SmolLM2-360M.gguf}}\n")

    assert Daemon(load_config(config, {})).engine_state.model == "SmolLM2-360M"


def test_without_a_path_it_is_the_starter(tmp_path: Path) -> None:
    """What `make up` runs."""
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {tmp_path}\n")

    assert Daemon(load_config(config, {})).engine_state.model == "SmolLM2-135M-Instruct.Q4_1"
