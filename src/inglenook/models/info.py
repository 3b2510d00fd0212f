"""Description of a model file, and its errors. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inglenook.common.errors import InglenookError, StartupError

KvType = Literal["f16", "q8_0"]

DOWNLOAD_AGAIN = "download it again"
CHOOSE_ANOTHER = "choose a GGUF file of an instruction-tuned chat model"

# Elements and bytes of one block; ``ggml_types`` has them all.
_KV_BLOCKS = {"f16": (1, 2), "q8_0": (32, 34)}

_F32_BYTES = 4


class BadModelError(InglenookError):
    """A fault of a model file, raised where the file's path is unknown.

    Never leaves this room: ``inspect`` turns it into a ``ModelFileError``.

    Attributes:
        reason: The end of a sentence that begins with "it".
        remedy: What to do, in the imperative.
    """

    def __init__(self, reason: str, remedy: str = DOWNLOAD_AGAIN) -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy


def quoted(text: str) -> str:
    """Quote text from an untrusted file: control characters escaped, 64 characters at most."""
    return repr(text if len(text) <= 64 else text[:63] + "…")


class ModelFileError(StartupError):
    """A model file cannot be used.

    Attributes:
        path: The file.
        reason: The end of a sentence that begins with "it".
        remedy: What to do, in the imperative.
    """

    def __init__(self, path: Path, reason: str, remedy: str = DOWNLOAD_AGAIN) -> None:
        super().__init__(path, reason, remedy)
        self.path = path
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"cannot use the model file {self.path}: it {self.reason}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class LayerState:
    """State of the layers: KV rows and running states.

    Attributes:
        kv_rows: Elements of a token's keys and values, in each layer that has any.
        state_numbers: Numbers in the running states of one sequence, in all layers together.
        moved_numbers: Those of one layer, times the copies made while it is computed.
        state_width: Numbers of a token inside such a layer.
        windows: Some layers see the latest tokens only.
    """

    kv_rows: tuple[tuple[int, int], ...] = ()
    state_numbers: int = 0
    moved_numbers: int = 0
    state_width: int = 0
    windows: bool = False


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A sound model file that can chat.

    Attributes:
        path: The file.
        file_bytes: Its size.
        name: For people: the name the model gives itself, else the file's.
        architecture: As llama.cpp spells it, such as ``llama``.
        quantization: Such as ``Q4_1``; ``unknown`` when the file does not say.
        context_length: Tokens a sequence was trained to hold.
        block_count: Transformer layers.
        embedding_length: Width of the residual stream.
        beside_length: Numbers of a token through all layers beside its row of that width.
        feed_forward_length: Widest row inside a layer; of all experts of one token together.
        experts_used: Experts per token; 0 if there are none.
        head_count: Attention heads, in the layer with most.
        query_length: Elements of the queries of all heads of that layer.
        layer_state: State of its layers per token and per sequence.
        vocab_size: Tokens in the vocabulary.
        merges: Pairs of tokens that become one; 0 for vocabularies of another kind.
        chat_template: The model's own Jinja template.
        tensor_count: Tensors of the file.
        parameter_count: Weights, all tensors together.
        weights_bytes: Their memory, at most.
    """

    path: Path
    file_bytes: int
    name: str
    architecture: str
    quantization: str
    context_length: int
    block_count: int
    embedding_length: int
    beside_length: int
    feed_forward_length: int
    experts_used: int
    head_count: int
    query_length: int
    layer_state: LayerState
    vocab_size: int
    merges: int
    chat_template: str
    tensor_count: int
    parameter_count: int
    weights_bytes: int

    def kv_bytes_per_token(self, kv_type: KvType, *, flash_attention: bool = True) -> int:
        """Return the bytes of KV cache of one token, keys and values of all layers.

        Args:
            kv_type: Type of the cells.
            flash_attention: Without it the values of all layers are made as wide as the widest.
        """
        block_elements, block_bytes = _KV_BLOCKS[kv_type]
        rows = self.layer_state.kv_rows
        widest = 0 if flash_attention else max((values for _keys, values in rows), default=0)
        elements = [n for keys, values in rows for n in (keys, max(values, widest))]
        return sum(-(-n // block_elements) * block_bytes for n in elements)

    @property
    def state_bytes(self) -> int:
        """Return the bytes of the running states of one sequence; 0 if it has none."""
        return self.layer_state.state_numbers * _F32_BYTES
