"""What each layer keeps; test_footprint.py holds the sums of real shapes against the library."""

from __future__ import annotations

import pytest

from inglenook.models.gguf.header import INT32, ArrayInfo, Value
from inglenook.models.info import BadModelError
from inglenook.models.layers import read_layer_state
from inglenook.models.metadata import Keys

ROW = (64, 64)
SSM: dict[str, Value] = {"ssm.conv_kernel": 4, "ssm.inner_size": 16, "ssm.state_size": 8}
STATE = 3 * 16 + 16 * 8


def numbers(*items: int) -> ArrayInfo:
    return ArrayInfo(INT32, len(items), items)


def kept(architecture: str, **more: Value) -> tuple[tuple[tuple[int, int], ...], int]:
    """Rows and state of a model of four layers, each with a key and a value of 64."""
    values: dict[str, Value] = {
        "embedding_length": 128,
        "attention.head_count_kv": 1,
    } | {name.replace("__", "."): value for name, value in more.items()}
    keys = Keys({f"{architecture}.{name}": value for name, value in values.items()}, architecture)
    found = read_layer_state(keys, 4, 2)
    return found.kv_rows, found.state_numbers


@pytest.mark.parametrize(
    ("architecture", "more", "rows", "states"),
    [
        ("llama", {}, 4, 0),
        ("qwen35", SSM, 1, 3),  # every fourth has attention if the file does not say
        ("qwen35", SSM | {"full_attention_interval": 2}, 2, 2),
        ("qwen35", SSM | {"attention.recurrent_layers": numbers(0, 1, 0, 0)}, 3, 1),
        ("qwen35", SSM | {"nextn_predict_layers": 1}, 0, 3),  # the last would have had attention
        ("qwen3", {"nextn_predict_layers": 1}, 3, 0),
        ("falcon-h1", SSM, 4, 4),
        ("jamba", SSM | {"attention.head_count_kv": numbers(0, 1, 0, 0)}, 1, 3),
        (
            "nemotron_h",
            SSM
            | {
                "attention.head_count_kv": numbers(0, 0, 1, 0),
                "feed_forward_length": numbers(0, 64, 0, 64),
            },
            1,
            1,
        ),
        ("nanbeige", {"num_loops": 2}, 8, 0),
        ("gemma4", {"attention.shared_kv_layers": 3}, 1, 0),
        ("tomorrow", SSM, 4, 4),  # nobody knows which layers have which: both, in all of them
        ("tomorrow", SSM | {"attention.head_count_kv": numbers(0, 1, 0, 0)}, 1, 3),
    ],
)
def test_each_layer_keeps_what_is_its_own(
    architecture: str, more: dict[str, Value], rows: int, states: int
) -> None:
    """By the keys that each architecture has for it."""
    assert kept(architecture, **more) == ((ROW,) * rows, STATE * states)


def test_layers_with_a_window_may_have_rows_of_another_length() -> None:
    """The longer for all where the file does not list them."""
    lengths: dict[str, Value] = {"attention.key_length_swa": 32, "attention.value_length_swa": 32}
    listed = {"attention.sliding_window_pattern": numbers(1, 1, 1, 0)}

    assert kept("gemma4", **lengths, **listed)[0] == (((32, 32),) * 3) + (ROW,)
    assert kept("gemma4", **lengths)[0] == (ROW,) * 4


def test_a_latent_row_stands_for_keys_and_values() -> None:
    """DeepSeek's attention keeps no values."""
    mla: dict[str, Value] = {"attention.key_length": 48, "attention.key_length_mla": 32}

    assert kept("deepseek2", **mla)[0] == ((48, 0),) * 4


def test_what_cannot_be_is_refused() -> None:
    """More guessing layers than layers, or a list that is too short."""
    for more in ({"nextn_predict_layers": 5}, {"attention.head_count_kv": numbers(1, 1)}):
        with pytest.raises(BadModelError):
            kept("llama", **more)
