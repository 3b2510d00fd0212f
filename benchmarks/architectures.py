"""What is kept of each architecture: ``python -m benchmarks.architectures`` writes the table.

A real engine, a conversation in which everything is asked that people ask next, a kill in the
middle of an answer, a restart; with small models of random weights, so that it takes seconds and
says nothing about quality or speed. What the models say is not part of it: history is made up, so
the figures are the same on every machine. Kind: hands.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from inglenook.engine.events import JobEnded, JobStarted
from inglenook.engine.interface import EnginePhase
from inglenook.engine.orders import ChatMessage, Limits, LoadModel, PrefixCache, StartJob
from inglenook.engine.supervisor import WORKER
from inglenook.engine.worker.kv.common_prefix import common_tokens
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prefix.blockfile import Damaged, read_block
from inglenook.engine.worker.prefix.index import Index
from inglenook.engine.worker.prompt.jinja import TemplateRefused
from inglenook.engine.worker.prompt.prompt import PromptMaker
from inglenook.models.inspect import inspect_model
from tests.engine.watched import Engine, Heard, over, start
from tests.parts.families import FAMILIES
from tests.parts.random_model import write_random_model

TABLE = Path(__file__).parents[1] / "docs" / "architectures.md"

#: Between these lines of the file; what stands around them is written by hand.
BEGIN, END = "<!-- table -->", "<!-- end of table -->"

HEAD = (
    "| architecture | kept as | turns | 2nd turn | 3rd turn | again | edited | system |"
    " after a kill | after a restart |"
)

ANSWER_TOKENS = 8

#: For what an idle machine does in below a second.
DEADLINE_S = 120.0

_CELLS = 4096
_CACHE_BYTES = 256 * 2**20
_WORDS = re.findall(
    r"\w+",
    "river stone bridge winter garden letter window morning teacher market summer village"
    " doctor music paper kitchen travel weather history animal forest number picture station",
)

Messages = tuple[ChatMessage, ...]


@dataclass
class Asked(Heard):
    """A job, with what was found of its prompt."""

    prompt_tokens: int = 0
    found: int = 0

    def started(self, event: JobStarted) -> None:
        super().started(event)
        self.prompt_tokens = event.prompt_tokens

    def ended(self, event: JobEnded) -> None:
        self.found = event.cached_tokens
        super().ended(event)


@dataclass(frozen=True, slots=True)
class Case:
    """One question of the conversation.

    Attributes:
        prompt: Its tokens.
        found: How many were found.
        least: How many another prompt before it had in common with it, as far as the states of
            this architecture allow to go on from there.
        answer: What was written.
    """

    prompt: Sequence[int]
    found: int
    least: int
    answer: Sequence[int]


@dataclass
class Measured:
    """A row of the table."""

    family: str
    kept_as: str
    cases: dict[str, Case] = field(default_factory=dict)

    @property
    def row(self) -> str:
        """As it stands in the table: of each prompt, how many tokens were found."""
        turns = ", ".join(str(len(self.cases[name].prompt)) for name in ("1", "2", "3"))
        names = ("2", "3", "again", "edited", "system", "kill", "restart")
        cells = [self._cell(name) for name in (names if "restart" in self.cases else names[:-2])]
        return f"| {self.family} | {self.kept_as} | {turns} | {' | '.join(cells)} |"

    def _cell(self, name: str) -> str:
        if name not in self.cases:
            return "refused"
        case = self.cases[name]
        return f"{case.found} of {len(case.prompt)}"


def words(seed: int, count: int) -> str:
    """Some words that no other seed begins with."""
    told = [_WORDS[(seed * 7 + place * (seed + 1)) % len(_WORDS)] for place in range(count)]
    return " ".join([_WORDS[seed], *told])


def question(seed: int, count: int = 60) -> ChatMessage:
    """Something that is asked."""
    return ChatMessage("user", words(seed, count) + "?")


def answer(seed: int) -> ChatMessage:
    """Something that might have been answered."""
    return ChatMessage("assistant", words(seed, 30).capitalize() + ".")


class Trial:
    """One architecture, in several lives of the engine."""

    def __init__(self, family: str, path: Path, folder: Path) -> None:
        """Take a model of that family, and a folder for the cache."""
        info = inspect_model(path)
        self.path = path
        self._folder = folder
        prefix = PrefixCache(str(folder), _CACHE_BYTES, _CACHE_BYTES)
        self._load = LoadModel(
            str(path), info.chat_template, _CELLS, "f16", 2, 1, 0.2, prefix=prefix
        )
        self.model = Model(str(path), lambda _fraction: True)
        self._prompts = PromptMaker(self.model, info.chat_template)
        self._states = not self.model.trimmable
        self._job = 0
        kept_as = "states" if self._states else "cells"
        window = self.model.window_tokens
        self.measured = Measured(family, kept_as + (f", window {window}" if window else ""))

    def close(self) -> None:
        """Give the model back."""
        self.model.close()

    async def run(self, *, lives: bool = True) -> Measured:
        """Ask everything; each life of the engine begins with what the one before left on disk.

        Args:
            lives: Also kill it, and start it again.
        """
        talk: Messages = (question(1),)
        engine = Engine(WORKER, self._load)
        async with running(engine):
            before: Messages = ()
            for turn in (1, 2, 3):
                await self._ask(engine, str(turn), talk, before)
                before, talk = talk, (*talk, answer(turn + 10), question(turn + 1))
            talk, before = before, talk
            await self._ask(engine, "again", talk, before)
            await self._ask(engine, "edited", (*talk[:-1], question(8)), talk)
            await self._ask_system(engine)
            if not lives:
                return self.measured
            fourth = (*talk, answer(13), question(4))
            fifth = (*fourth, answer(14), question(5))
            await self._ask_and_kill(engine, fourth, talk, fifth)
            await self._until_written(fifth, fourth)
        engine = Engine(WORKER, self._load)
        async with running(engine):
            await self._ask(engine, "restart", fifth, fourth)
        return self.measured

    async def _ask(self, engine: Engine, name: str, messages: Messages, before: Messages) -> None:
        asked = Asked()
        engine.supervisor.start(self._order(messages), asked)
        async with asyncio.timeout(DEADLINE_S):
            await asked.over.wait()
        assert asked.what[-1] == "ended: length", asked.what
        self._note(name, messages, before, asked)

    def _note(self, name: str, messages: Messages, before: Messages, asked: Asked) -> None:
        prompt = self._tokens(messages)
        assert len(prompt) == asked.prompt_tokens
        least = self._least(prompt, before)
        self.measured.cases[name] = Case(prompt, asked.found, least, tuple(asked.tokens))

    async def _ask_system(self, engine: Engine) -> None:
        """Two conversations under one system message."""
        system = ChatMessage("system", words(20, 150))
        first, second = (system, question(6)), (system, question(7))
        try:
            self._tokens(first)
        except TemplateRefused:
            return
        await self._ask(engine, "system", first, ())
        await self._ask(engine, "system", second, first)

    async def _ask_and_kill(
        self, engine: Engine, messages: Messages, before: Messages, after: Messages
    ) -> None:
        """Kill the engine in the middle of an answer, as soon as what can be is on the disk."""
        broken = Asked()
        engine.supervisor.start(self._order(messages, answer_tokens=1000), broken)
        await _until(lambda: len(broken.tokens) >= ANSWER_TOKENS)
        engine.supervisor.limit(Limits(duty=0.0))
        # What is still written is on the disk only where a state of it is saved on the way.
        await (
            self._until_written(after, messages)
            if self._states
            else self._until_written(messages, before)
        )
        assert engine.supervisor.pid is not None
        os.kill(engine.supervisor.pid, signal.SIGKILL)
        await over(broken)
        engine.supervisor.limit(Limits())
        async with asyncio.timeout(DEADLINE_S):
            await engine.until(EnginePhase.READY, times=2)
        produced = broken.tokens[:ANSWER_TOKENS]
        continued = Asked()
        engine.supervisor.start(
            self._order(messages, answer_tokens=2 * ANSWER_TOKENS, produced=produced), continued
        )
        async with asyncio.timeout(DEADLINE_S):
            await continued.over.wait()
        assert len(continued.tokens) == ANSWER_TOKENS
        continued.tokens[:0] = produced
        self._note("kill", messages, after if self._states else before, continued)

    def _order(
        self,
        messages: Messages,
        *,
        answer_tokens: int = ANSWER_TOKENS,
        produced: Sequence[int] = (),
    ) -> StartJob:
        self._job += 1
        return msgspec.structs.replace(
            start(self._job),
            messages=messages,
            max_tokens=answer_tokens,
            ignore_eos=True,
            produced=tuple(produced),
        )

    def _tokens(self, messages: Messages) -> Sequence[int]:
        return self._prompts.prompt(messages, self._prompts.options(self._order(messages))).tokens

    def _least(self, prompt: Sequence[int], before: Messages) -> int:
        """What has to be found of a prompt that comes after another; one token is left to compute.

        Where states cannot be cut, that is one token before the two part.
        """
        if not before:
            return 0
        common = min(common_tokens(prompt, self._tokens(before)), len(prompt) - 1)
        return common - 1 if self._states and common < len(prompt) - 1 else common

    async def _until_written(self, messages: Messages, before: Messages) -> None:
        prompt = self._tokens(messages)
        least = self._least(prompt, before)
        async with asyncio.timeout(DEADLINE_S):
            # Nobody would set an Event.
            while await asyncio.to_thread(self._on_disk, prompt) < least:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    def _on_disk(self, prompt: Sequence[int]) -> int:
        """How much of a prompt the next engine would find."""
        blocks = []
        for path in self._folder.rglob("*.kv"):
            try:
                blocks.append((read_block(path), path.parent.name))
            except (Damaged, FileNotFoundError):
                continue
        if not blocks:
            return 0
        index = Index(bytes.fromhex(blocks[0][1]), states=self._states)
        for block, _name in sorted(blocks, key=lambda found: found[0].start):
            if index.is_reachable(block):
                index.add(block)
        return index.match(prompt)[1]


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[None]:
    """Run an engine, once it is ready."""
    async with engine.running():
        async with asyncio.timeout(DEADLINE_S):
            await engine.until(EnginePhase.READY)
        yield


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110  # nobody would set an Event
            await asyncio.sleep(0.01)


def measure(family: str, folder: Path) -> Measured:
    """Measure one architecture."""
    path = write_random_model(folder / f"{family}.gguf", FAMILIES[family])
    trial = Trial(family, path, folder / family)
    try:
        return asyncio.run(trial.run())
    finally:
        trial.close()
        path.unlink()


def table(rows: Sequence[str]) -> str:
    """The table as it stands in the file."""
    lines = "|---" * HEAD.count(" |") + "|"
    return "\n".join([BEGIN, "", HEAD, lines, *rows, "", END])


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.architectures")
    parser.add_argument("families", nargs="*", default=list(FAMILIES))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for family in asked.families:
            measured = measure(family, Path(folder))
            print(measured.row, flush=True)
            rows.append(measured.row)
    if asked.families == list(FAMILIES):
        text = TABLE.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        TABLE.write_text(before + table(rows) + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
