"""Files that are not GGUF at all."""

from __future__ import annotations

import pytest

from inglenook.models.gguf.foreign import recognise


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "is empty"),
        (bytes(512), "begins with nothing but zeros"),
        (b"<!doctype html><html>", "is a web page"),
        (b"\xef\xbb\xbf\r\n<HTML lang=en>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer to a model"),
        (b'{"error":"Forbidden"}', "is JSON, perhaps an error message in place of a model"),
        (b"tjgg\x03\0\0\0", "is in the format that came before GGUF"),
        (b"\x40\0\0\0\0\0\0\0" + b'{"__metadata__":{', "is in the safetensors format"),
        (b"PK\x03\x04\x14\0", "is a zip archive or a PyTorch checkpoint"),
        (b"\x1f\x8b\x08\0", "is compressed"),
        (b"\x7fELF\x02\x01", "is not a GGUF file"),
        (b"GGU", "is not a GGUF file"),
    ],
)
def test_what_people_mistake_for_a_model_is_named(head: bytes, reason: str) -> None:
    """Each common mistake is called what it is."""
    assert recognise(head).reason == reason


def test_the_remedy_fits_the_mistake() -> None:
    """Downloading a web page again would bring the web page again."""
    assert recognise(b"<html>").remedy == "use the link that downloads the .gguf file itself"
    assert recognise(b"").remedy == "download it again"
