"""A small GGUF model that llama.cpp really loads, and the many ways such a file can be wrong."""

from __future__ import annotations

import functools
import struct
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

WIDTH, HEADS, HEADS_KV, FEED_FORWARD, LAYERS, CONTEXT = 32, 2, 1, 32, 1, 256
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]

METADATA: dict[str, object] = {
    "general.architecture": "llama",
    "general.name": "Small Test Model",
    "general.file_type": int(gguf.LlamaFileType.MOSTLY_Q4_0),
    "llama.block_count": LAYERS,
    "llama.context_length": CONTEXT,
    "llama.embedding_length": WIDTH,
    "llama.feed_forward_length": FEED_FORWARD,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": HEADS_KV,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.dimension_count": WIDTH // HEADS,
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.scores": [0.0] * len(TOKENS),
    "tokenizer.ggml.token_type": [2, 3, 3, *([6] * 256)],
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.chat_template": TEMPLATE,
}

_ROWS_BY_COLUMNS = {
    "token_embd.weight": (len(TOKENS), WIDTH),
    "output_norm.weight": (WIDTH,),
    "blk.0.attn_norm.weight": (WIDTH,),
    "blk.0.attn_q.weight": (WIDTH, WIDTH),
    "blk.0.attn_k.weight": (WIDTH // HEADS * HEADS_KV, WIDTH),
    "blk.0.attn_v.weight": (WIDTH // HEADS * HEADS_KV, WIDTH),
    "blk.0.attn_output.weight": (WIDTH, WIDTH),
    "blk.0.ffn_norm.weight": (WIDTH,),
    "blk.0.ffn_gate.weight": (FEED_FORWARD, WIDTH),
    "blk.0.ffn_up.weight": (FEED_FORWARD, WIDTH),
    "blk.0.ffn_down.weight": (WIDTH, FEED_FORWARD),
}
PARAMETERS = sum(int(np.prod(shape)) for shape in _ROWS_BY_COLUMNS.values())


def model_bytes(changes: Mapping[str, object] | None = None, *, weights: bool = True) -> bytes:
    """Write a model of one layer; a change of None leaves its key out."""
    metadata = METADATA | dict(changes or {})
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "small.gguf")
        writer = gguf.GGUFWriter(path, "llama")
        del writer.kv_data[0]["general.architecture"]
        for key, value in metadata.items():
            if value is not None:
                _add(writer, key, value)
        for name, shape in _ROWS_BY_COLUMNS.items() if weights else ():
            values = np.random.default_rng(0).standard_normal(shape, np.float32)
            if name.endswith("norm.weight"):
                writer.add_tensor(name, values)
            else:
                q4_0 = gguf.GGMLQuantizationType.Q4_0
                writer.add_tensor(name, gguf.quants.quantize(values, q4_0), raw_dtype=q4_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


@functools.cache
def small_model() -> bytes:
    """The sound model, 16 kB."""
    return model_bytes()


def corrupt_variants(directory: Path) -> list[tuple[Path, str]]:
    """Write every corrupt file into ``directory``; with each, words its error sentence contains."""
    written = []
    for corruption in CORRUPTIONS:
        path = directory / f"{corruption.name}.gguf"
        path.write_bytes(corruption.make(small_model()))
        written.append((path, corruption.words))
    return written


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way to be wrong.

    Attributes:
        name: Also the file's name.
        make: From the sound file's bytes to the corrupt ones.
        words: In the sentence that the operator gets.
    """

    name: str
    make: Callable[[bytes], bytes]
    words: str


def _add(writer: gguf.GGUFWriter, key: str, value: object) -> None:
    types = gguf.GGUFValueType
    kinds = {bool: types.BOOL, int: types.UINT32, float: types.FLOAT32, str: types.STRING}
    if isinstance(value, list):
        item_type = {int: types.INT32}.get(type(value[0]), kinds[type(value[0])])
        writer.add_key_value(key, value, types.ARRAY, item_type)
    else:
        writer.add_key_value(key, value, kinds[type(value)])


def _put(offset: int, form: str, *numbers: int) -> Callable[[bytes], bytes]:
    """Overwrite numbers at an offset."""

    def make(data: bytes) -> bytes:
        packed = struct.pack("<" + form, *numbers)
        return data[:offset] + packed + data[offset + len(packed) :]

    return make


def _swap(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Replace the one place where ``old`` stands, without moving anything else."""

    def make(data: bytes) -> bytes:
        assert data.count(old) == 1, (old, data.count(old))
        assert len(old) == len(new), (old, new)
        return data.replace(old, new)

    return make


def _after(text: str, skip: int, form: str, *numbers: int) -> Callable[[bytes], bytes]:
    """Overwrite numbers ``skip`` bytes after a key's or tensor's name."""

    def make(data: bytes) -> bytes:
        name = struct.pack("<Q", len(text)) + text.encode()
        assert data.count(name) == 1, text
        return _put(data.index(name) + len(name) + skip, form, *numbers)(data)

    return make


def _cut(keep: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:keep]


def _instead(content: bytes) -> Callable[[bytes], bytes]:
    return lambda _data: content


def _with(changes: Mapping[str, object]) -> Callable[[bytes], bytes]:
    return lambda _data: model_bytes(changes)


def _unpadded(data: bytes) -> bytes:
    """Cut off what pads a header to where tensors would begin, as files without any have it."""
    return data.rstrip(b"\0")


# Behind a key stands its type (4 bytes), then the value; a text's or array's length comes first.
# Behind a tensor's name: number of dimensions (4), each dimension (8), format (4), offset (8).
_EMBEDDING, _NORM = "token_embd.weight", "output_norm.weight"
_QUERY, _LAST = "blk.0.attn_q.weight", "blk.0.ffn_down.weight"
_TOKENS, _SCORES = "tokenizer.ggml.tokens", "tokenizer.ggml.scores"
_TEMPLATE = "tokenizer.chat_template"
_HEADS_COUNT = "llama.attention.head_count"
_HEADS_KV = "llama.attention.head_count_kv"
_EPSILON = "llama.attention.layer_norm_rms_epsilon"
_ARCHITECTURE = "general.architecture"
_HUGE = 2**62

#: Parts behind the first say which they are, and nothing else.
_LATER_SHARD = dict.fromkeys(METADATA) | {"split.count": 3, "split.no": 1}

FOREIGN = (
    Corruption("empty", _instead(b""), "is empty"),
    Corruption("one_byte", _instead(b"G"), "is not a GGUF file"),
    Corruption("zeros", _instead(bytes(4096)), "nothing but zeros"),
    Corruption("web_page", _instead(b"\n<!DOCTYPE html><html>404</html>"), "is a web page"),
    Corruption(
        "lfs_pointer",
        _instead(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 98\n"),
        "is a Git LFS pointer",
    ),
    Corruption("json", _instead(b'{"error": "Access denied"}'), "is JSON"),
    Corruption("old_ggml", _instead(b"tjgg" + bytes(60)), "came before GGUF"),
    Corruption(
        "safetensors",
        _instead(struct.pack("<Q", 60) + b'{"weight":{"dtype":"F16","shape":[2,2]}}'),
        "in the safetensors format",
    ),
    Corruption("zip", _instead(b"PK\x03\x04" + bytes(60)), "is a zip archive"),
    Corruption("gzip", _instead(b"\x1f\x8b\x08" + bytes(60)), "unpack it with gunzip"),
)
DAMAGED = (
    Corruption("version_1", _put(4, "I", 1), "of version 1, where 2 and 3 are supported"),
    Corruption("version_0", _put(4, "I", 0), "of version 0, where"),
    Corruption("version_9", _put(4, "I", 9), "update inglenook"),
    Corruption("big_endian", _put(4, "I", 3 << 24), "big-endian"),
    Corruption("cut_in_version", _cut(6), "its 6 bytes end before the format version"),
    Corruption("cut_in_counts", _cut(20), "its 20 bytes end before"),
    Corruption("cut_in_metadata", _cut(400), "its 400 bytes end before a metadata key"),
    Corruption("cut_in_vocabulary", _cut(2000), "end before the value of 'tokenizer.ggml.tokens'"),
    Corruption("cut_by_one", lambda data: data[:-1], "cut short: 1 of "),
    Corruption("cut_in_half", lambda data: data[: len(data) // 2], "bytes are missing at its end"),
    Corruption("tensor_count", _put(8, "Q", _HUGE), "tensors, where 65,536 is the most"),
    Corruption("many_tensors", _put(8, "Q", 60_000), "before the first of 60,000 tensors"),
    Corruption("pair_count", _put(16, "Q", _HUGE), "metadata pairs, where 4,096 is the most"),
    Corruption("one_pair_more", _put(16, "Q", len(METADATA) + 1), "cut short or damaged"),
    Corruption("huge_key", _put(24, "Q", _HUGE), "end before a metadata key"),
    Corruption("empty_key", _put(24, "Q", 0), "a metadata key is empty"),
    Corruption("key_not_utf8", _swap(b"llama.block_count", b"llama.\xff\xfeock_count"), "UTF-8"),
    Corruption(
        "key_twice",
        _swap(b"tokenizer.ggml.bos_token_id", b"tokenizer.ggml.eos_token_id"),
        "key 'tokenizer.ggml.eos_token_id' appears twice",
    ),
    Corruption("huge_text", _after("general.name", 4, "Q", _HUGE), "end before the value of"),
    Corruption("value_type", _after("general.name", 0, "I", 77), "has the unknown type 77"),
    Corruption("huge_array", _after(_SCORES, 8, "Q", _HUGE), f"the value of '{_SCORES}'"),
    Corruption("huge_vocabulary", _after(_TOKENS, 8, "Q", _HUGE), "tokens, where 1,048,576 is"),
    Corruption("false_vocabulary", _after(_TOKENS, 8, "Q", 2**19), f"the value of '{_TOKENS}'"),
    Corruption("nested_array", _after(_TOKENS, 4, "I", 9), "an array of the unknown type 9"),
    Corruption("no_dimensions", _after(_NORM, 0, "I", 0), "has 0 dimensions"),
    Corruption("many_dimensions", _after(_NORM, 0, "I", 5), "has 5 dimensions"),
    Corruption("zero_dimension", _after(_NORM, 4, "Q", 0), "impossible shape [0]"),
    Corruption("overflow", _after(_EMBEDDING, 4, "QQ", 2**32, 2**32), "impossible shape"),
    Corruption("huge_tensor", _after(_EMBEDDING, 4, "Q", 2**40), "overlaps the tensor before it"),
    Corruption("huge_last", _after(_LAST, 12, "Q", 2**40), "bytes are missing at its end"),
    Corruption("unknown_format", _after(_NORM, 12, "I", 99), "unknown number format 99"),
    Corruption("withdrawn_format", _after(_NORM, 12, "I", 4), "unknown number format 4"),
    Corruption("broken_blocks", _after(_EMBEDDING, 4, "Q", 33), "rows of 33, which Q4_0 packs"),
    Corruption("misaligned", _after(_QUERY, 24, "Q", 7), "is not aligned to 32 bytes"),
    Corruption("overlap", _after(_QUERY, 24, "Q", 0), "overlaps the tensor before it"),
    Corruption("beyond_the_end", _after(_QUERY, 24, "Q", _HUGE), "leaves a gap after"),
    Corruption("tensor_twice", _swap(b"blk.0.ffn_up", b"blk.0.attn_q"), "appears twice"),
    Corruption("alignment_48", _with({"general.alignment": 48}), "not a power of two from 32"),
    Corruption("alignment_8", _with({"general.alignment": 8}), "not a power of two from 32"),
    Corruption("token_twice", _swap(b"<0x41>", b"<0x42>"), "has 1 tokens twice"),
    Corruption("token_ends_early", _swap(b"</s>", b"<s>\0"), "has 1 tokens twice"),
    Corruption("byte_missing", _swap(b"<0x41>", b"letter"), "lacks 1 of the 256 tokens for single"),
    Corruption("few_types", _with({"tokenizer.ggml.token_type": [1]}), "token_type do not match"),
    Corruption("text_scores", _with({_SCORES: ["high"]}), "scores do not match its tokens"),
    Corruption("number_tokens", _with({_TOKENS: [1, 2]}), "not a list of texts"),
    Corruption("negative_epsilon", _with({_EPSILON: -1.0}), "is not a number from 0 to 1"),
    Corruption("no_layers", _with({"llama.block_count": 0}), "'llama.block_count' is '0'"),
    Corruption("many_layers", _with({"llama.block_count": 513}), "from 1 to 512"),
    Corruption("context_text", _with({"llama.context_length": "8k"}), "'llama.context_length' is"),
    Corruption("uneven_heads", _with({_HEADS_KV: 3}), "3 key/value heads cannot serve 2 heads"),
    Corruption("heads_for_two", _with({_HEADS_KV: [1, 1]}), "each of its 1 layers a number"),
    Corruption("headless_layers", _with({_HEADS_KV: [0]}), "none of its 1 layers a head"),
    Corruption("no_heads", _with({_HEADS_COUNT: 0}), "none of its 1 layers a head"),
    Corruption("experts", _with({"llama.expert_count": 2}), "it uses 0 of 2 experts"),
    Corruption("text_experts", _with({"llama.expert_count": "2"}), "experts are not numbers"),
)
UNFIT = (
    Corruption("no_architecture", _with({_ARCHITECTURE: None}), "not name its archi"),
    Corruption("embedding", _with({_ARCHITECTURE: "nomic-bert"}), "an embedding model"),
    Corruption("pooled", _with({"llama.pooling_type": 3}), "an embedding model ('llama'), which"),
    Corruption("both_ways", _with({"llama.attention.causal": False}), "an embedding model"),
    Corruption("reranker", _with({"llama.pooling_type": 4}), "is a model that ranks texts"),
    Corruption("encoder", _with({_ARCHITECTURE: "t5encoder"}), "is an encoder model"),
    Corruption("encoder_decoder", _with({_ARCHITECTURE: "t5"}), "an encoder-decoder model"),
    Corruption("diffusion", _with({_ARCHITECTURE: "llada"}), "a text diffusion model"),
    Corruption("draft", _with({_ARCHITECTURE: "eagle3"}), "is a draft for another model"),
    Corruption("speech", _with({_ARCHITECTURE: "qwen3tts"}), "is a model of speech"),
    Corruption("projector", _with({_ARCHITECTURE: "clip"}), "half of a multimodal"),
    Corruption("lora", _with({"general.type": "adapter"}), "is a LoRA adapter for another"),
    Corruption(
        "old_lora",
        _with({"adapter.type": "lora", "llama.block_count": None}),
        "is a LoRA adapter for another model ('llama'), which cannot chat",
    ),
    Corruption(
        "control_vector", _with({_ARCHITECTURE: "controlvector"}), "is a control vector for another"
    ),
    Corruption("shard", _with({"split.count": 3, "split.no": 1}), "is part 2 of a model split"),
    Corruption("later_shard", _with(_LATER_SHARD), "is part 2 of a model split into 3 files"),
    Corruption("no_weights", lambda _data: model_bytes(weights=False), "holds no weights"),
    Corruption(
        "words_alone", lambda _data: _unpadded(model_bytes(weights=False)), "holds no weights"
    ),
    Corruption("recurrent", _with({_ARCHITECTURE: "mamba2"}), "is a recurrent model"),
    Corruption("no_width", _with({"llama.embedding_length": None}), "lacks 'llama.embedding_le"),
    Corruption("no_context", _with({"llama.context_length": None}), "lacks 'llama.context_length'"),
    Corruption("no_tokenizer", _with({"tokenizer.ggml.model": None}), "has no tokenizer"),
    Corruption("no_vocabulary", _with({_TOKENS: None}), "has no tokenizer"),
    Corruption("base_model", _with({_TEMPLATE: None}), "has no chat template"),
    Corruption("blank_template", _with({_TEMPLATE: " \n"}), "has an empty chat template"),
    Corruption("list_of_templates", _with({_TEMPLATE: ["a", "b"]}), "has a list where its chat"),
    Corruption("number_of_templates", _with({_TEMPLATE: 2}), "has a number where its chat"),
    Corruption(
        "templates_for_tools",
        _with({_TEMPLATE: None, f"{_TEMPLATE}.tool_use": TEMPLATE}),
        "has chat templates for other uses",
    ),
    Corruption("endless_template", _with({_TEMPLATE: "x" * 300_000}), "of 300,000 characters"),
    Corruption("endless_text", _with({_TEMPLATE: "x" * 5_000_000}), "too much text in the value"),
)
CORRUPTIONS = FOREIGN + DAMAGED + UNFIT
