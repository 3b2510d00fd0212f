"""Chat template of a model file. Kind: rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from inglenook.models.gguf.header import ArrayInfo, Value
from inglenook.models.info import CHOOSE_ANOTHER, BadModelError

_KEY: Final = "tokenizer.chat_template"

#: Where a model has several templates, each has its name behind that; the one for chats lies under
#: the plain key as well, unless a converter left that out. Others are for tools, say.
_DEFAULT: Final = f"{_KEY}.default"

_CHARACTERS_MAX: Final = 256 * 1024


def chat_template(metadata: Mapping[str, Value]) -> str:
    """Return the template for chats.

    Raises:
        BadModelError: If there is no usable one.
    """
    template, default = metadata.get(_KEY), metadata.get(_DEFAULT)
    if not isinstance(template, str) and isinstance(default, str):
        template = default
    if template is None:
        if any(key.startswith(f"{_KEY}.") for key in metadata):
            raise BadModelError("has chat templates for other uses than chats only", CHOOSE_ANOTHER)
        raise BadModelError("has no chat template, as base models have not", CHOOSE_ANOTHER)
    if not isinstance(template, str):
        what = "a list" if isinstance(template, ArrayInfo) else "a number"
        raise BadModelError(f"has {what} where its chat template should be", CHOOSE_ANOTHER)
    if not template.strip():
        raise BadModelError("has an empty chat template", CHOOSE_ANOTHER)
    if len(template) > _CHARACTERS_MAX:
        raise BadModelError(f"has a chat template of {len(template):,} characters", CHOOSE_ANOTHER)
    return template
