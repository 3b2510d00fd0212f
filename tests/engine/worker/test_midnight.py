"""A conversation continued after midnight stays cached, although its prompt has the date."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from inglenook.engine.events import Adjustment, JobEnded, JobStarted, PrefillDone
from inglenook.engine.orders import ChatMessage, Prefill
from tests.engine.worker.templates import DATED, PICKY
from tests.engine.worker.test_startup import Daemon, asking, engine
from tests.engine.worker.writing import order

EVENING_S = 1_609_500_000.0
NIGHT_S = EVENING_S + 86_400.0

#: A model that is small, and real.
LLAMA_3_2, SMOLLM3 = DATED["always"], DATED["with a default"]

HI = ChatMessage("user", "Tell me about the Eiffel tower in Paris, please.")
MORE = ChatMessage("user", "How tall is it?")


def ask(
    daemon: Daemon, job: int, messages: tuple[ChatMessage, ...], moment_s: float
) -> tuple[str, int, int]:
    """The answer, the length of the prompt, and how many of its tokens were cached."""
    asked = msgspec.structs.replace(order(job, 16), messages=messages, moment_s=moment_s)
    daemon.send(asked)
    started = daemon.hear(JobStarted)
    text = ""
    while not isinstance(event := daemon.next(), JobEnded):
        text += "".join(output.text for output in event.outputs)  # type: ignore[union-attr]  # steps
    return text + event.text, started.prompt_tokens, event.cached_tokens


@pytest.mark.slow
@pytest.mark.parametrize("template", [LLAMA_3_2, SMOLLM3], ids=["Llama 3.2", "SmolLM3"])
@pytest.mark.parametrize("typed", [False, True])
def test_no_token_is_read_again_after_midnight(
    starter_model: Path, template: str, typed: bool
) -> None:
    """No token of the earlier turns; with the new date more than half would be."""
    with engine() as daemon:
        ready = daemon.load(starter_model, chat_template=template, context_tokens=1024)
        assert ready.dated
        answer, before, _known = ask(daemon, 1, (HI,), EVENING_S)
        talk = (HI, ChatMessage("assistant", answer), MORE)
        if typed:
            daemon.send(Prefill(2, talk, EVENING_S))
            prepared = daemon.hear(PrefillDone)
            assert prepared.cached_tokens > before + 16
        _answer, after, known = ask(daemon, 3, talk, EVENING_S)
        _answer, _after, known_otherwise = ask(daemon, 4, talk, NIGHT_S)

    # The answer's own tokens as well, but for what may be one with the words behind them.
    assert before + 14 <= known < after
    assert known_otherwise < before / 2


def test_a_model_without_a_date_says_so(toy_path: Path) -> None:
    """No date is stored for it."""
    with engine() as daemon:
        assert not daemon.load(toy_path, chat_template=PICKY["takes turns"]).dated


def test_what_is_done_to_a_conversation_is_told_when_it_begins(toy_path: Path) -> None:
    """And nothing is reported without an adjustment."""
    with engine() as daemon:
        daemon.load(toy_path, chat_template=PICKY["refuses system"])
        first = msgspec.structs.replace(
            asking(1, "hello"), messages=(ChatMessage("system", "Be brief."), HI, MORE)
        )
        daemon.send(first)
        assert daemon.hear(JobStarted).adjustments == (Adjustment.SYSTEM_FOLDED, Adjustment.MERGED)
        daemon.hear(JobEnded)
        daemon.send(asking(2, "hello"))
        assert daemon.hear(JobStarted).adjustments == ()
        daemon.hear(JobEnded)
