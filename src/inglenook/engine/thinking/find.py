"""Finds the form of a model's thoughts by its template and vocabulary. Kind: rules."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from inglenook.engine.thinking.forms import (
    BRACKETS,
    COHERE,
    CONTENT,
    GEMMA,
    HARMONY,
    INNER,
    PARTS,
    RECIPIENT,
    SEED,
    STEPS,
    THINK,
    Form,
    Tags,
)

#: A form, and the texts by which a template is known to use it: all of them.
_BY_TEMPLATE: Final[tuple[tuple[Form, tuple[str, ...]], ...]] = (
    (HARMONY, ("<|channel|>", "<|message|>")),
    (CONTENT, ("<|think|>", "<|content|>")),
    (RECIPIENT, ("to=self", "<|message|>")),
    (GEMMA, ("<|channel>", "<channel|>")),
    (INNER, ("<|inner_prefix|>", "<|inner_suffix|>")),
    (COHERE, ("<|START_THINKING|>", "<|END_THINKING|>")),
    (BRACKETS, ("[THINK]", "[/THINK]")),
    (SEED, ("seed:think",)),
    (PARTS, ("<|open|>", "<|sep|>", "think")),
    (STEPS, ("[BEGIN FINAL RESPONSE]",)),
)

#: A form, and tokens that no other family has, as the template may be of another model.
_BY_VOCABULARY: Final[tuple[tuple[Form, tuple[str, ...]], ...]] = (
    (HARMONY, ("<|start|>", "<|channel|>", "<|message|>", "<|return|>")),
    (GEMMA, ("<|channel>", "<channel|>")),
    (INNER, ("<|inner_prefix|>", "<|inner_suffix|>")),
    (COHERE, ("<|START_THINKING|>", "<|END_THINKING|>")),
    (BRACKETS, ("[THINK]", "[/THINK]")),
    (SEED, ("<seed:think>", "</seed:think>")),
)

#: The closing tag of a pair such as ``<think>``, ``<mm:think>``, ``<thought>``.
_CLOSING: Final = re.compile(
    r"</((?:\w+:)?(?:think|thinking|thought|thoughts|reasoning)(?::\w+)?)>"
)

#: Tags that some of those families put around the answer after a thought.
_WRAPS: Final = (("<answer>", "</answer>"), ("<response>", "</response>"))


def find_form(architecture: str, template: str, tokens: Collection[str]) -> Form:
    """Find the form.

    Args:
        architecture: As llama.cpp spells it.
        template: The model's chat template.
        tokens: Texts of the special tokens of its vocabulary.

    Returns:
        The form that the template writes itself; else one whose tags are tokens; else `THINK`, for
        which many models were trained that have neither.
    """
    for form, texts in _BY_TEMPLATE:
        if all(text in template for text in texts):
            return form
    if (name := _tag_name(_CLOSING.findall(template))) is None:
        for form, texts in _BY_VOCABULARY:
            if all(text in tokens for text in texts):
                return form
        name = _tag_name(found[1] for text in tokens if (found := _CLOSING.fullmatch(text)))
    wraps = tuple(
        (begin, end)
        for begin, end in _WRAPS
        if (begin in template and end in template)
        or (begin == "<answer>" and architecture.startswith("hunyuan"))
    )
    if name is None or name == "think":
        return replace(THINK, wraps=wraps)
    return Tags(f"<{name}> … </{name}>", (f"<{name}>",), (f"</{name}>",), wraps)


def _tag_name(names: Iterable[str]) -> str | None:
    """The most frequent name; of equals the shorter, as it is the more common."""
    counted = list(names)
    return min(set(counted), key=lambda name: (-counted.count(name), len(name), name), default=None)
