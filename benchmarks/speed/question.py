"""Questions whose length is known, and that nobody has been asked before. Kind: rules."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, str]

#: Each is one token of the starter's vocabulary, with the space before it.
_VOCABULARY = (
    "time people water house garden river winter summer morning evening light window table bread"
    " kitchen music story friend family child mother father brother sister teacher school letter"
    " paper market street village mountain forest ocean island bridge ship train road journey"
    " weather rain snow wind cloud stone fire metal glass cotton silver golden green yellow purple"
    " quiet simple gentle honest clever curious early often always never perhaps because before"
    " after under between against through without beyond towards slowly carefully"
)
_WORDS = _VOCABULARY.split()


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, of every server in the same words.

    Attributes:
        messages: The conversation.
        tokens: How long the answer is, exactly.
        temperature: 0 takes the likeliest token always.
        seed: Start of the random numbers.
    """

    messages: tuple[Message, ...]
    tokens: int
    temperature: float = 0.7
    seed: int = 1

    def body(self) -> dict[str, Any]:
        """As an OpenAI chat body; everything that has a default somewhere is said."""
        return {
            "messages": list(self.messages),
            "max_tokens": self.tokens,
            "ignore_eos": True,
            "temperature": self.temperature,
            "top_k": 40,
            "top_p": 0.95,
            "min_p": 0.05,
            "repeat_penalty": 1.0,
            "seed": self.seed,
        }


def words(tokens: int, seed: int) -> str:
    """So many tokens of text that has no sense; another seed, another text from the start on."""
    return " ".join(random.Random(seed).choices(_WORDS, k=tokens))


def story(number: int, tokens: int) -> Question:
    """A short question with a long answer; the same for the same ``number``, all as long."""
    first, second = _WORDS[number % len(_WORDS)], _WORDS[number // len(_WORDS) % len(_WORDS)]
    text = f"Write a long story about the {first} and the {second}."
    return Question(({"role": "user", "content": text},), tokens, seed=number + 1)


def reading(prompt_tokens: int, seed: int, tokens: int) -> Question:
    """A long text, never seen before, with a short answer."""
    return Question(({"role": "user", "content": words(prompt_tokens, seed)},), tokens)
