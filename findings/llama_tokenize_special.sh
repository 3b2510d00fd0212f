#!/usr/bin/env bash
# llama_tokenize has no mode in which a text is only text, and its results cannot be put together.
#
# Seen with llama-cpp-python 0.3.36 (llama.cpp 0c1e57098), gguf 0.19.0, on x86-64:
# - with parse_special off, the text of a control token (<s>) is text, but the text of a token that
#   the model's author defined (USER_DEFINED in GGUF, as <think> is in Qwen3 and DeepSeek R1) still
#   becomes that token;
# - of a SentencePiece vocabulary each call puts a space before the first word, so "ab" read as "a"
#   and "b" says "a b"; there is no flag for a text that goes on.
# Exits with 1 if one of these is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet llama-cpp-python==0.3.36 gguf==0.19.0
"$folder/venv/bin/python" - "$folder/vocabulary.gguf" 2>/dev/null <<'PYTHON'
import sys

import gguf
import llama_cpp.llama_cpp as lib

kinds = gguf.TokenType
tokens = [
    *[("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)],
    *[(f"<0x{byte:02X}>", kinds.BYTE) for byte in range(256)],
    *[(letter, kinds.NORMAL) for letter in "\u2581abcdefghijklmnopqrstuvwxyz<>"],
    ("<think>", kinds.USER_DEFINED),
]
writer = gguf.GGUFWriter(sys.argv[1], "llama")
writer.add_context_length(64)
writer.add_embedding_length(8)
writer.add_block_count(1)
writer.add_feed_forward_length(8)
writer.add_head_count(1)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_tokenizer_model("llama")
writer.add_token_list([text for text, _kind in tokens])
writer.add_token_scores([0.0] * len(tokens))
writer.add_token_types([kind for _text, kind in tokens])
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.close()

params = lib.llama_model_default_params()
params.vocab_only = True
model = lib.llama_model_load_from_file(sys.argv[1].encode(), params)
vocab = lib.llama_model_get_vocab(model)


def read(text, parse_special):
    data = text.encode()
    room = (lib.llama_token * 64)()
    count = lib.llama_tokenize(vocab, data, len(data), room, 64, False, parse_special)
    return [tokens[token][0] for token in room[:count]]


control, defined = read("a<s>b", False), read("a<think>b", False)
print("a<s>b without special tokens:    ", control)
print("a<think>b without special tokens:", defined)
whole, parts = read("ab", False), read("a", False) + read("b", False)
print("ab at once:", whole, " as a and b:", parts)
assert "<s>" not in control and "<think>" in defined
assert whole == ["\u2581", "a", "b"] and parts == ["\u2581", "a", "\u2581", "b"]
PYTHON
echo "as it was seen"
