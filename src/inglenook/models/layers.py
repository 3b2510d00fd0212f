"""State of a model's layers: per token, and per sequence. Kind: rules.

An attention layer has a row of keys and one of values per token. A recurrent layer (Mamba, gated
delta nets, short convolutions) has a running state instead, in F32, per possible sequence;
Falcon-H1's layers have both.

Source: ``llama_hparams``, the filters in ``llama_model::create_memory`` and ``load_arch_hparams``
of each architecture, as of the llama.cpp that llama-cpp-python 0.3.36 ships; a test compares the
sums with that library's own.
"""

from __future__ import annotations

from inglenook.models.info import LayerState
from inglenook.models.metadata import MAX_HEADS, MAX_LAYERS, MAX_WIDTH, Keys

#: Architectures without keys and values.
RECURRENT = frozenset({"arwkv7", "mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7"})

#: Architectures whose metadata give the distance of attention layers.
_BY_INTERVAL = frozenset({"qwen3next", "qwen35", "qwen35moe", "qwen4exp"})
_INTERVAL = 4

#: Architectures whose layers are one thing each: a state, attention, or a feed-forward network.
_ONE_THING = frozenset({"nemotron_h", "nemotron_h_moe"})

#: Architectures whose layers all have attention and a state.
_BOTH = frozenset({"falcon-h1"})

#: First layer of Gemma 3n that uses the keys and values of earlier ones; no key gives it.
_GEMMA3N_OWN = 20

#: Keys that show running states, whatever the architecture's name.
_STATE_KEYS = ("ssm.state_size", "shortconv.l_cache", "kda.head_dim", "wkv.head_size")

_MAX_LOOPS = 64
_MAX_SMALL = 2**16


def read_layer_state(keys: Keys, layers: int, heads: int) -> LayerState:
    """Read the state of a model's layers.

    Args:
        keys: Its metadata.
        layers: Number of blocks in the file.
        heads: Attention heads, in the layer with most; 0 without attention.

    Raises:
        BadModelError: If a number is impossible.
    """
    attention, recurrent = _kinds(keys, layers, heads)
    rows = _kv_rows(keys, attention, heads)
    # A model that runs its layers several times has that many rows.
    rows *= keys.number("num_loops", _MAX_LOOPS, default=1)
    numbers, width = _state(keys, heads) if any(recurrent) else (0, 0)
    copies = 2 if keys.architecture in _BY_INTERVAL else 1
    return LayerState(
        kv_rows=rows,
        state_numbers=numbers * sum(recurrent),
        moved_numbers=copies * numbers,
        state_width=width,
        windows=keys.has("attention.sliding_window") or keys.architecture == "gemma2",
    )


def _kinds(keys: Keys, layers: int, heads: int) -> tuple[list[bool], list[bool]]:
    """Return which layers have keys and values, and which a state."""
    if keys.architecture in RECURRENT:
        return [False] * layers, [True] * layers
    heads_kv = keys.per_layer("attention.head_count_kv", layers, default=heads)
    # The last layers, for predicting several tokens, are not loaded.
    loaded = layers - keys.number("nextn_predict_layers", layers, least=0, default=0)
    within = [layer < loaded for layer in range(layers)]
    with_heads = [own and count > 0 for own, count in zip(within, heads_kv, strict=True)]
    without = [own and count == 0 for own, count in zip(within, heads_kv, strict=True)]
    if keys.architecture in _BOTH:
        return with_heads, within
    if keys.architecture in _BY_INTERVAL:
        states = _by_interval(keys, layers)
        return (
            [own and not state for own, state in zip(with_heads, states, strict=True)],
            [own and state for own, state in zip(within, states, strict=True)],
        )
    if keys.architecture in _ONE_THING:
        wide = keys.per_layer("feed_forward_length", layers, most=MAX_WIDTH, default=0)
        return (
            [own and not width for own, width in zip(with_heads, wide, strict=True)],
            [own and not width for own, width in zip(without, wide, strict=True)],
        )
    if not any(keys.has(name) for name in _STATE_KEYS):
        owning = _own_kv(keys, layers)
        return [own and layer < owning for layer, own in enumerate(with_heads)], [False] * layers
    # For an unknown architecture, rather too much than too little.
    return with_heads, without if any(without) else within


def _by_interval(keys: Keys, layers: int) -> tuple[bool, ...]:
    listed = keys.flags("attention.recurrent_layers", layers)
    if listed is not None:
        return listed
    interval = keys.number("full_attention_interval", MAX_LAYERS, default=_INTERVAL)
    return tuple((layer + 1) % interval != 0 for layer in range(layers))


def _own_kv(keys: Keys, layers: int) -> int:
    """Return the number of layers with their own keys and values; later ones use theirs."""
    if keys.architecture == "gemma3n":
        return _GEMMA3N_OWN
    return layers - keys.number("attention.shared_kv_layers", layers, least=0, default=0)


def _kv_rows(keys: Keys, attention: list[bool], heads: int) -> tuple[tuple[int, int], ...]:
    """Return the elements of keys and of values, in each layer that has them."""
    if not any(attention):
        return ()
    layers = len(attention)
    head = keys.number("embedding_length", MAX_WIDTH) // max(heads, 1)
    full = _lengths(keys, "", (head, head))
    if keys.number("attention.key_length_mla", MAX_WIDTH, least=0, default=0):
        # One latent row stands for both.
        full = full[0], 0
    windowed = _lengths(keys, "_swa", full)
    in_window = keys.flags("attention.sliding_window_pattern", layers)
    heads_kv = keys.per_layer("attention.head_count_kv", layers, default=heads)
    rows = []
    for layer in range(layers):
        if attention[layer]:
            if in_window is None:
                # Only the library knows which layers have a window.
                key, value = max(full[0], windowed[0]), max(full[1], windowed[1])
            else:
                key, value = windowed if in_window[layer] else full
            rows.append((heads_kv[layer] * key, heads_kv[layer] * value))
    return tuple(rows)


def _lengths(keys: Keys, kind: str, default: tuple[int, int]) -> tuple[int, int]:
    """Return the elements of one head's key and value, in layers of one kind."""
    key, value = default
    return (
        keys.number(f"attention.key_length{kind}", MAX_WIDTH, least=0, default=key),
        keys.number(f"attention.value_length{kind}", MAX_WIDTH, least=0, default=value),
    )


def read_beside(keys: Keys, layers: int, width: int) -> int:
    """Read the numbers of a token through all layers beside its row of the model's width.

    Gemma 3n and 4 give each layer an input of its own; the former has four rows instead of one, and
    one more for mixing them.
    """
    own = keys.number("embedding_length_per_layer_input", MAX_WIDTH, least=0, default=0)
    return layers * own + (5 * width if keys.architecture == "gemma3n" else 0)


def _state(keys: Keys, heads: int) -> tuple[int, int]:
    """Return the numbers in the state of one recurrent layer, and of a token inside it."""

    def small(name: str, default: int = 0) -> int:
        return keys.number(name, _MAX_SMALL, least=0, default=default)

    width = keys.number("embedding_length", MAX_WIDTH)
    head = small("wkv.head_size")
    if head:
        return width * small("token_shift_count", 2) + width * head, 8 * width
    convolved = small("shortconv.l_cache")
    if convolved:
        return width * (convolved - 1), 4 * width
    kernel, head = small("ssm.conv_kernel", 4), small("kda.head_dim")
    if head:
        inner = min(heads, MAX_HEADS) * head
        return 3 * max(kernel - 1, 0) * inner + inner * head, 12 * inner
    inner = keys.number("ssm.inner_size", MAX_WIDTH, least=0, default=0)
    state = small("ssm.state_size")
    passed = inner + 2 * small("ssm.group_count") * state
    gates = 0 if keys.architecture in _BY_INTERVAL else 2 * inner
    return max(kernel - 1, 0) * passed + inner * state, 3 * passed + gates
