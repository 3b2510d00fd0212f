"""What the rest of the program knows about a model file, and how one can be bad. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inglenook.errors import InglenookError, StartupError

KvType = Literal["f16", "q8_0"]

DOWNLOAD_AGAIN = "download it again"
CHOOSE_ANOTHER = "choose a GGUF file of an instruction-tuned chat model"

# Elements and bytes of one block; ``ggml_types`` has them all.
_KV_BLOCKS = {"f16": (1, 2), "q8_0": (32, 34)}


class BadModelError(InglenookError):
    """What is wrong with a model file, said before anyone knows which file.

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
    """Show text from an untrusted file: control characters escaped, 64 characters at most."""
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
        feed_forward_length: Widest row inside a layer; all experts that see one token together.
        head_count: Attention heads, in the layer that has most.
        head_count_kv: Key/value heads of each layer; 0 for a layer without attention.
        key_length: Elements of one head's key.
        value_length: Elements of one head's value.
        vocab_size: Tokens in the vocabulary.
        chat_template: The model's own Jinja template.
        parameter_count: Weights, all tensors together.
        weights_bytes: What they take in memory, at most.
    """

    path: Path
    file_bytes: int
    name: str
    architecture: str
    quantization: str
    context_length: int
    block_count: int
    embedding_length: int
    feed_forward_length: int
    head_count: int
    head_count_kv: tuple[int, ...]
    key_length: int
    value_length: int
    vocab_size: int
    chat_template: str
    parameter_count: int
    weights_bytes: int

    def kv_bytes_per_token(self, kv_type: KvType) -> int:
        """Bytes of KV cache that one token takes, keys and values of every layer.

        An upper bound for models with sliding-window layers, which forget old tokens.
        """
        block_elements, block_bytes = _KV_BLOCKS[kv_type]
        rows = (
            heads * length
            for heads in self.head_count_kv
            for length in (self.key_length, self.value_length)
        )
        return sum(-(-elements // block_elements) * block_bytes for elements in rows)
