"""The forms in which families of models write their thoughts. Kind: words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Tags:
    """A thought precedes the answer, between two tags.

    Attributes:
        name: For people.
        opens: Texts that begin it: tags, or a fixed sentence.
        closes: Texts that end it; the first is written where a thought is cut short.
        wraps: Tags around the answer. One that is a closing tag, too, follows at once.
        drops: Tags within a thought that are not shown.
        named: The opening tag is followed by a line with a name.
        reopens: A thought may also begin in the middle of an answer.
    """

    name: str
    opens: tuple[str, ...]
    closes: tuple[str, ...]
    wraps: tuple[tuple[str, str], ...] = ()
    drops: tuple[str, ...] = ()
    named: bool = False
    reopens: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """All tags of the form."""
        around = tuple(text for wrap in self.wraps for text in wrap)
        return tuple(dict.fromkeys((*self.opens, *self.closes, *around, *self.drops)))

    def mapped(self, write: Callable[[str], str]) -> Tags:
        """The same form, with ``write`` applied to each tag."""
        return Tags(
            self.name,
            tuple(map(write, self.opens)),
            tuple(map(write, self.closes)),
            tuple((write(begin), write(end)) for begin, end in self.wraps),
            tuple(map(write, self.drops)),
            self.named,
            self.reopens,
        )


@dataclass(frozen=True, slots=True)
class Channels:
    """Thought and answer are messages, told apart by their headers.

    Attributes:
        name: For people.
        start: The mark that begins a message, before ``role``.
        role: The role of the model.
        begins: Marks that end a header; the message follows.
        ends: Marks that end a message.
        answer: Header of an answer, without start and role.
        thoughts: A message whose header has one of these is a thought.
        hidden: So is a message with one of these, which is for a program, not for a reader.
    """

    name: str
    start: str
    role: str
    begins: tuple[str, ...]
    ends: tuple[str, ...]
    answer: str
    thoughts: tuple[str, ...]
    hidden: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """All marks of the form, alone or within a header."""
        return tuple(
            dict.fromkeys((self.start, *self.begins, *self.ends, self.answer, *self.thoughts))
        )

    def mapped(self, write: Callable[[str], str]) -> Channels:
        """The same form, with ``write`` applied to each mark."""
        return Channels(
            self.name,
            write(self.start),
            self.role,
            tuple(map(write, self.begins)),
            tuple(map(write, self.ends)),
            write(self.answer),
            tuple(map(write, self.thoughts)),
            self.hidden,
        )


Form: TypeAlias = Tags | Channels

#: Of most families, and of models that were trained on their output.
THINK = Tags("<think> … </think>", ("<think>",), ("</think>",))

#: gpt-oss.
HARMONY = Channels(
    "channels (harmony)",
    "<|start|>",
    "assistant",
    ("<|message|>",),
    ("<|end|>", "<|return|>", "<|call|>"),
    "<|channel|>final<|message|>",
    ("<|channel|>analysis",),
    (" to=",),
)

#: Solar Open: the token that ends a header tells thought and answer apart.
CONTENT = Channels(
    "<|think|> and <|content|>",
    "<|begin|>",
    "assistant",
    ("<|think|>", "<|content|>", "<|tool_calls|>"),
    ("<|end|>", "<|flush|>", "<|calls|>"),
    "<|content|>",
    ("<|think|>",),
    ("<|tool_calls|>",),
)

#: A thought is a message from the model to itself.
RECIPIENT = Channels(
    "messages to itself",
    "<|start|>",
    "assistant",
    ("<|message|>",),
    ("<|eom|>", "<|eot|>"),
    "<|message|>",
    (" to=self",),
    (" to=",),
)

#: Gemma 4.
GEMMA = Tags("<|channel> … <channel|>", ("<|channel>",), ("<channel|>",), named=True, reopens=True)

#: Apertus.
INNER = Tags("<|inner_prefix|> … <|inner_suffix|>", ("<|inner_prefix|>",), ("<|inner_suffix|>",))

#: Command-R7B, Command A Reasoning and others of Cohere.
COHERE = Tags(
    "<|START_THINKING|> … <|END_THINKING|>",
    ("<|START_THINKING|>",),
    ("<|END_THINKING|>",),
    (("<|START_RESPONSE|>", "<|END_RESPONSE|>"), ("<|START_TEXT|>", "<|END_TEXT|>")),
)

#: Magistral, Ministral 3 Reasoning.
BRACKETS = Tags("[THINK] … [/THINK]", ("[THINK]",), ("[/THINK]",))

#: Seed-OSS also writes how much of its budget it has used.
SEED = Tags(
    "<seed:think> … </seed:think>",
    ("<seed:think>",),
    ("</seed:think>",),
    drops=("<seed:cot_budget_reflect>", "</seed:cot_budget_reflect>"),
)

#: Kimi K3.
PARTS = Tags(
    "<|open|>think<|sep|> … <|close|>think<|sep|>",
    ("<|open|>think<|sep|>",),
    ("<|close|>think<|sep|>",),
    (("<|open|>response<|sep|>", "<|close|>response<|sep|>"),),
)

#: Apriel: a sentence begins the thought, and the answer has tags.
STEPS = Tags(
    "“Here are my reasoning steps:” … [BEGIN FINAL RESPONSE]",
    ("Here are my reasoning steps:",),
    ("[BEGIN FINAL RESPONSE]",),
    (("[BEGIN FINAL RESPONSE]", "[END FINAL RESPONSE]"),),
)
