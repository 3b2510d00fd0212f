"""The ways in which families of models write down what they think. Kind: words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Tags:
    """A thought stands before the answer, between two tags.

    Attributes:
        name: For people.
        opens: What begins it: a tag, or a fixed sentence.
        closes: What ends it; the first is written where it has to be ended.
        wraps: What may stand around the answer. One that begins with a closing tag follows at once.
        drops: Tags within a thought that are part of nothing.
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
        """All tags there are."""
        around = tuple(text for wrap in self.wraps for text in wrap)
        return tuple(dict.fromkeys((*self.opens, *self.closes, *around, *self.drops)))

    def mapped(self, write: Callable[[str], str]) -> Tags:
        """The same, with each tag written otherwise."""
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
    """Thought and answer are messages, each with a header that says which it is.

    Attributes:
        name: For people.
        start: What a message begins with, and then ``role``.
        role: Who speaks.
        begins: What ends a header; the message follows.
        ends: What ends a message.
        answer: Header, without start and role, of an answer.
        thoughts: A message whose header has one of these is thought.
        hidden: And so is one with one of these: it is for a program, not for a reader.
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
        """All marks there are, whether they stand alone or within a header."""
        return tuple(
            dict.fromkeys((self.start, *self.begins, *self.ends, self.answer, *self.thoughts))
        )

    def mapped(self, write: Callable[[str], str]) -> Channels:
        """The same, with each mark written otherwise."""
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

#: What most families write, and any model may that was taught by one of them.
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

#: Solar Open: the token that ends a header says which it is.
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

#: A thought is what the model says to itself.
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

#: Seed-OSS also says how much of its budget it has used.
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
