"""Counts answers that end in a loop, by the sampling: ``python -m benchmarks.loops``.

It asks a box, eight questions at once, what people ask in the first minute, in English and in
Chinese, and prints one row for each setting. Figures go by the model and the questions, hardly by
the machine; give other settings as JSON, such as ``'{"temperature": 0.5}'``. Kind: hands.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.follower import Follower
from benchmarks.household import MODELS_DIR, House, running_house
from inglenook.cli.terminal.table import print_table
from inglenook.engine.worker.decode.repetition import RepetitionDetector, RepetitionRule
from inglenook.engine.worker.llama import Model
from inglenook.models.starter import pull_starter

_QUESTIONS = Path(__file__).with_name("loop_questions.txt")

_AT_ONCE = 8

#: Longer than any answer takes on a busy machine; a box that has died never gives one.
_ANSWER_S = 600.0

#: Answers here are too short for the engine's own rule. What has come round three times at the end
#: of an answer, or has hardly anything new in the last 200 tokens, goes on like that.
_LOOP = RepetitionRule(rounds=3, exact_tokens=48, near_tokens=200, near_distance=100, novel=30)

#: What to compare, unless the command line says otherwise; empty is the model's profile.
_SETTINGS: tuple[Mapping[str, Any], ...] = (
    {"repeat_penalty": 1.0},
    {"repeat_penalty": 1.05},
    {},
    {"repeat_penalty": 1.2},
    {"temperature": 0.4, "min_p": 0.05},
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; ``right`` are words of which a right answer has one, if that can be said."""

    text: str
    right: tuple[str, ...]

    @property
    def chinese(self) -> bool:
        """Whether it is in Chinese."""
        return any("\u4e00" <= character <= "\u9fff" for character in self.text)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question; ``how`` is what the request said of the choice of tokens."""

    how: Mapping[str, Any]
    question: str
    chinese: bool
    text: str
    tokens: int
    finish_reason: str | None
    loops: bool
    right: bool | None


def questions() -> list[Question]:
    """Read the list."""
    found = []
    for line in _QUESTIONS.read_text().splitlines():
        if not line.startswith("#"):
            text, _, right = line.partition(" => ")
            found.append(Question(text, tuple(right.split("|")) if right else ()))
    return found


def loops(tokens: Sequence[int]) -> bool:
    """Whether a text ends in a loop."""
    detector = RepetitionDetector(_LOOP)
    ends = False
    for token in tokens:
        ends = detector.add(token)
    return ends


def rows(answers: Sequence[Answer]) -> list[tuple[str, ...]]:
    """One row for each way to choose tokens."""
    ways: dict[str, list[Answer]] = {}
    for answer in answers:
        ways.setdefault(json.dumps(answer.how), []).append(answer)
    return [(way if way != "{}" else "profile", *_figures(found)) for way, found in ways.items()]


def _figures(answers: Sequence[Answer]) -> list[str]:
    parts = [[a for a in answers if a.chinese is chinese] for chinese in (False, True)]
    judged = [[a for a in part if a.right is not None] for part in parts]
    return [
        *(_share([answer.loops for answer in part]) for part in parts),
        *(_share([answer.finish_reason != "stop" for answer in part]) for part in parts),
        *(f"{mean(answer.tokens for answer in part):.0f}" for part in parts),
        *(_share([bool(answer.right) for answer in part]) for part in judged),
    ]


def _share(those: Sequence[bool]) -> str:
    return f"{100 * sum(those) / max(len(those), 1):.1f} %"


async def _ask(house: House, model: Model, args: argparse.Namespace) -> list[Answer]:
    token = await asyncio.to_thread(house.pair, "loops")
    places = asyncio.Semaphore(_AT_ONCE)

    async def ask(question: Question, how: Mapping[str, Any], seed: int) -> Answer:
        body = {
            "messages": [{"role": "user", "content": question.text}],
            "max_tokens": args.tokens,
            "seed": seed,
            **how,
        }
        async with places, asyncio.timeout(_ANSWER_S):
            told = await Follower(house.url, token, body).follow()
        if not told.ends:
            raise AssertionError(f"'{question.text}' was not answered: {told.error}")
        (end,) = told.ends
        right = any(word.lower() in told.text.lower() for word in question.right)
        return Answer(
            how,
            question.text,
            question.chinese,
            told.text,
            end["usage"]["completion_tokens"],
            end["finish_reason"],
            end["finish_reason"] != "stop" and loops(model.tokenize(told.text)),
            right if question.right else None,
        )

    answers: list[Answer] = []
    chosen = list(enumerate(questions()))[:: args.every]
    for how in args.settings or _SETTINGS:
        asked = [ask(question, how, seed) for seed, question in chosen]
        found = await asyncio.gather(*asked)
        print(*rows(found)[0], sep="\t", file=sys.stderr, flush=True)
        answers += found
    return answers


def main() -> int:
    """Ask everything with every setting, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", nargs="*", type=json.loads, help="request fields as JSON")
    parser.add_argument("--tokens", type=int, default=256, help="longest answer (256)")
    parser.add_argument("--every", type=int, default=1, help="ask only every Nth question")
    parser.add_argument("--model", type=Path, help="a GGUF file; the starter model if none")
    parser.add_argument("--threads", type=int, help="of the engine; as many as it finds good")
    parser.add_argument("--answers", type=Path, help="write every answer to this file, as JSON")
    args = parser.parse_args()
    path = args.model or asyncio.run(
        pull_starter(MODELS_DIR, progress=lambda _text, _fraction: None)
    )
    engine = {"threads": args.threads} if args.threads else {}
    house_settings = {"model": {"path": str(path)}, "engine": engine, "cache": {"disk": 0}}
    model = Model(str(path), lambda _fraction: True)
    with running_house(house_settings) as house:
        answers = asyncio.run(_ask(house, model, args))
    if args.answers:
        args.answers.write_text(json.dumps([asdict(a) for a in answers], ensure_ascii=False))
    heads = ("tokens chosen", "loop en", "loop zh", "cut en", "cut zh", "mean en", "mean zh")
    print_table((*heads, "right en", "right zh"), rows(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
