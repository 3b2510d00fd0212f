"""What a model's layers keep: of every token, and of each sequence as a whole. Kind: rules.

A layer of attention keeps a row of keys and one of values of every token. A recurrent layer (Mamba,
gated delta nets, short convolutions) keeps a running state instead, in F32, of every sequence that
there may be; Falcon-H1's layers keep both.

Source: ``llama_hparams``, the filters in ``llama_model::create_memory`` and ``load_arch_hparams``
of each architecture, as of the llama.cpp that llama-cpp-python 0.3.36 ships; a test compares the
sums with that library's own.
"""

from __future__ import annotations

from inglenook.models.info import LayerState
from inglenook.models.metadata import MAX_HEADS, MAX_LAYERS, MAX_WIDTH, Keys

#: Architectures of which no layer keeps keys and values.
RECURRENT = frozenset({"arwkv7", "mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7"})

#: Those that say which layers have attention by their distance.
_BY_INTERVAL = frozenset({"qwen3next", "qwen35", "qwen35moe", "qwen4exp"})
_INTERVAL = 4

#: Those whose layers are one thing each: a state, attention, or a feed-forward network.
_ONE_THING = frozenset({"nemotron_h", "nemotron_h_moe"})

#: Those whose every layer has attention and a state.
_BOTH = frozenset({"falcon-h1"})

#: From which layer on Gemma 3n uses the keys and values of those before; no key says so.
_GEMMA3N_OWN = 20

#: By these it is known that there are running states, whatever the architecture is called.
_STATE_KEYS = ("ssm.state_size", "shortconv.l_cache", "kda.head_dim", "wkv.head_size")

_MAX_LOOPS = 64
_MAX_SMALL = 2**16


def read_layer_state(keys: Keys, layers: int, heads: int) -> LayerState:
    """Read what the layers of a model keep.

    Args:
        keys: Its metadata.
        layers: How many blocks the file has.
        heads: Attention heads, in the layer that has most; 0 where there is no attention.

    Raises:
        BadModelError: If a number cannot be.
    """
    attention, recurrent = _kinds(keys, layers, heads)
    rows = _kv_rows(keys, attention, heads)
    # A model that goes through its layers several times keeps as many rows.
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
    """Which layers keep keys and values, and which a state."""
    if keys.architecture in RECURRENT:
        return [False] * layers, [True] * layers
    heads_kv = keys.per_layer("attention.head_count_kv", layers, default=heads)
    # Those at the end that guess several tokens ahead are not loaded.
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
    # Of an architecture nobody here knows, rather too much than too little.
    return with_heads, without if any(without) else within


def _by_interval(keys: Keys, layers: int) -> tuple[bool, ...]:
    listed = keys.flags("attention.recurrent_layers", layers)
    if listed is not None:
        return listed
    interval = keys.number("full_attention_interval", MAX_LAYERS, default=_INTERVAL)
    return tuple((layer + 1) % interval != 0 for layer in range(layers))


def _own_kv(keys: Keys, layers: int) -> int:
    """How many layers have keys and values of their own; those behind them use theirs."""
    if keys.architecture == "gemma3n":
        return _GEMMA3N_OWN
    return layers - keys.number("attention.shared_kv_layers", layers, least=0, default=0)


def _kv_rows(keys: Keys, attention: list[bool], heads: int) -> tuple[tuple[int, int], ...]:
    """Elements of keys and of values, in each layer that keeps them."""
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
                # Which layers have a window is known to the library alone.
                key, value = max(full[0], windowed[0]), max(full[1], windowed[1])
            else:
                key, value = windowed if in_window[layer] else full
            rows.append((heads_kv[layer] * key, heads_kv[layer] * value))
    return tuple(rows)


def _lengths(keys: Keys, kind: str, default: tuple[int, int]) -> tuple[int, int]:
    """Elements of one head's key and value, in layers of one kind."""
    key, value = default
    return (
        keys.number(f"attention.key_length{kind}", MAX_WIDTH, least=0, default=key),
        keys.number(f"attention.value_length{kind}", MAX_WIDTH, least=0, default=value),
    )


def read_beside(keys: Keys, layers: int, width: int) -> int:
    """Read what a token carries through all layers beside its row of the model's width.

    Gemma 3n and 4 give each layer an input of its own; and the former has four rows for one, and
    one more in which they are mixed.
    """
    own = keys.number("embedding_length_per_layer_input", MAX_WIDTH, least=0, default=0)
    return layers * own + (5 * width if keys.architecture == "gemma3n" else 0)


def _state(keys: Keys, heads: int) -> tuple[int, int]:
    """Numbers in the state of one recurrent layer, and those that a token has inside it."""

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
