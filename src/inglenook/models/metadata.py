"""A model's numbers and its chat template in its file's metadata. Kind: rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from inglenook.models.gguf.header import ArrayInfo, Value
from inglenook.models.info import CHOOSE_ANOTHER, BadModelError, quoted

# Far above any published model, except the layers: LLAMA_MAX_LAYERS is llama.cpp's own bound.
MAX_LAYERS = 512
MAX_WIDTH = 2**20
MAX_HEADS = 4096

_TEMPLATE_KEY: Final = "tokenizer.chat_template"

#: Where a model has several templates, each has its name behind that; the one for chats lies under
#: the plain key as well, unless a converter left that out. Others are for tools, say.
_TEMPLATE_DEFAULT: Final = f"{_TEMPLATE_KEY}.default"

_TEMPLATE_CHARACTERS_MAX: Final = 256 * 1024


class Keys:
    """A file's metadata of its model, by names without the architecture they begin with.

    All methods raise a BadModelError for impossible values.
    """

    def __init__(self, metadata: Mapping[str, Value], architecture: str) -> None:
        """Read nothing yet."""
        self.architecture = architecture
        self._metadata = metadata

    def has(self, name: str) -> bool:
        """Return whether the file has this name."""
        return f"{self.architecture}.{name}" in self._metadata

    def raw(self, name: str) -> Value | None:
        """Return a value as it is in the file."""
        return self._metadata.get(f"{self.architecture}.{name}")

    def number(self, name: str, most: int, *, least: int = 1, default: int | None = None) -> int:
        """Read a number from ``least`` to ``most``; without a default it is required."""
        value = self.raw(name)
        if value is None:
            value = default
        key = quoted(f"{self.architecture}.{name}")
        if value is None:
            raise BadModelError(f"lacks {key}", CHOOSE_ANOTHER)
        if not isinstance(value, int) or not least <= value <= most:
            shown = quoted(str(value)) if isinstance(value, int | float | str) else "an array"
            raise BadModelError(
                f"is damaged: {key} is {shown}, not a number from {least} to {most:,}"
            )
        return value

    def per_layer(
        self, name: str, layers: int, *, most: int = MAX_HEADS, default: int | None = None
    ) -> tuple[int, ...]:
        """Read a number that is one for all layers, or one each; some or all may be 0."""
        value = self.raw(name)
        if not isinstance(value, ArrayInfo):
            return (self.number(name, most, least=0, default=default),) * layers
        numbers = tuple(item for item in value.items if isinstance(item, int) and 0 <= item <= most)
        if len(numbers) != layers or value.length != layers:
            key = quoted(f"{self.architecture}.{name}")
            raise BadModelError(
                f"is damaged: {key} does not give each of its {layers} layers a number"
            )
        return numbers

    def flags(self, name: str, layers: int) -> tuple[bool, ...] | None:
        """Read a yes or no of each layer; None if the file does not list them."""
        if not isinstance(self.raw(name), ArrayInfo):
            return None
        return tuple(bool(flag) for flag in self.per_layer(name, layers, most=1))


def chat_template(metadata: Mapping[str, Value]) -> str:
    """Return the template for chats.

    Raises:
        BadModelError: If there is no usable one.
    """
    template, default = metadata.get(_TEMPLATE_KEY), metadata.get(_TEMPLATE_DEFAULT)
    if not isinstance(template, str) and isinstance(default, str):
        template = default
    if template is None:
        if any(key.startswith(f"{_TEMPLATE_KEY}.") for key in metadata):
            raise BadModelError("has chat templates for other uses than chats only", CHOOSE_ANOTHER)
        raise BadModelError("has no chat template, as base models have not", CHOOSE_ANOTHER)
    if not isinstance(template, str):
        what = "a list" if isinstance(template, ArrayInfo) else "a number"
        raise BadModelError(f"has {what} where its chat template should be", CHOOSE_ANOTHER)
    if not template.strip():
        raise BadModelError("has an empty chat template", CHOOSE_ANOTHER)
    if len(template) > _TEMPLATE_CHARACTERS_MAX:
        raise BadModelError(f"has a chat template of {len(template):,} characters", CHOOSE_ANOTHER)
    return template
