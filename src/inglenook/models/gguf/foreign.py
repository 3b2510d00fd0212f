"""Recognises files that are not GGUF, by their first bytes. Kind: rules."""

from __future__ import annotations

from inglenook.models.info import DOWNLOAD_AGAIN, BadModelError

HEAD_BYTES = 512

# GGML, GGMF, GGJT and GGLA as they stand in a file: little-endian, so spelt backwards.
_BEFORE_GGUF = (b"lmgg", b"fmgg", b"tjgg", b"algg")
_CONVERTED = "download a GGUF conversion of the model"


def recognise(head: bytes) -> BadModelError:
    """Return what a file is that does not begin with ``GGUF``.

    Args:
        head: The file's first ``HEAD_BYTES``, or the whole of a shorter one.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        reason, remedy = "is empty", DOWNLOAD_AGAIN
    elif not head.strip(b"\0"):
        reason, remedy = "begins with nothing but zeros", DOWNLOAD_AGAIN
    elif text.startswith((b"<!doctype html", b"<html")):
        reason, remedy = "is a web page", "use the link that downloads the .gguf file itself"
    elif text.startswith(b"version https://git-lfs"):
        reason, remedy = "is a Git LFS pointer to a model", "fetch the model with `git lfs pull`"
    elif text.startswith((b"{", b"[")):
        reason, remedy = "is JSON, perhaps an error message in place of a model", DOWNLOAD_AGAIN
    elif head.startswith(_BEFORE_GGUF):
        reason, remedy = "is in the format that came before GGUF", _CONVERTED
    elif head[8:10] == b'{"':  # behind the length of the JSON, 8 bytes
        reason, remedy = "is in the safetensors format", _CONVERTED
    elif head.startswith(b"PK\x03\x04"):
        reason, remedy = "is a zip archive or a PyTorch checkpoint", _CONVERTED
    elif head.startswith(b"\x1f\x8b"):
        reason, remedy = "is compressed", "unpack it with gunzip"
    else:
        reason, remedy = "is not a GGUF file", _CONVERTED
    return BadModelError(reason, remedy)
