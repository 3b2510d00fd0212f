"""Each family of models is asked the way its makers say."""

from __future__ import annotations

import pytest

from inglenook.chat.profiles import Profile, profile_for


@pytest.mark.parametrize(
    "model", ["SmolLM2-135M-Instruct.Q4_1", "smollm2-1.7b", "my-SMOLLM2-tuned"]
)
def test_a_family_is_known_by_any_of_its_files_names(model: str) -> None:
    """Quantisers name files as they like; the family's name is in there somewhere."""
    assert profile_for(model) is profile_for("smollm2")
    assert profile_for(model).system is not None


@pytest.mark.parametrize("model", ["", "llama-3", "smollm3"])
def test_an_unknown_model_gets_llama_cpps_own_defaults(model: str) -> None:
    """Nothing is guessed."""
    assert profile_for(model) == Profile()


def test_the_most_telling_name_wins() -> None:
    """A distilled model carries two families' names; its own profile is the longer one."""
    assert profile_for("DeepSeek-R1-Distill-SmolLM2") is profile_for("deepseek-r1")
