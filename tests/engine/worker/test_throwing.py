"""An unexpected exception in the engine ends its process; the next engine resumes the answer.

A few hooks represent all: an exception raised there ends the process.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from inglenook.chat.messages import Message
from inglenook.chat.request import ChatRequest
from tests.parts.faults import engine_room, read_until

#: The real engine with one function that raises once, while an answer is generated.
_WORKER = """
import importlib, os, runpy, sys
module, owner, name, marker = {place!r}
holder = getattr(importlib.import_module(f"inglenook.engine.worker.{{module}}"), owner)
original = getattr(holder, name)
calls = 0
def failing(*args, **kwargs):
    global calls
    # Not during loading: the library swallows exceptions of its callbacks.
    calls += name != "send" or any(type(event).__name__ == "StepDone" for event in args)
    if calls > 2 and not os.path.exists(marker):
        open(marker, "x").close()
        raise ZeroDivisionError("unexpected")
    return original(*args, **kwargs)
setattr(holder, name, failing)
runpy.run_module("inglenook.engine.worker", run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "hook",
    [
        ("decode.batcher", "Batcher", "step"),
        ("decode.sampler", "Sampler", "sample"),
        ("decode.text", "TextAssembler", "push"),
        ("pipe", "Pipe", "send"),
    ],
    ids=lambda hook: f"{hook[0]}.{hook[2]}",
)
async def test_an_engine_that_raises_ends_and_the_answer_goes_on(
    hook: tuple[str, str, str],
    starter_model: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a line in the log, and the process's last output, which is the traceback."""
    marker = tmp_path / "failed"
    worker = (sys.executable, "-c", _WORKER.format(place=(*hook, str(marker))))
    request = ChatRequest((Message("user", "Count upwards."),), max_tokens=40)
    async with engine_room(starter_model, tmp_path, worker=worker) as room:
        await read_until(room.desk.submit("ada", replace(request, max_tokens=1)), 99)
        response = room.desk.submit(
            "ada", replace(request, ignore_eos=True, repetition_detection=False)
        )
        await read_until(response, 10_000)

    assert marker.exists()
    assert response.status in ("completed", "incomplete")
    assert response.outcome is not None
    assert response.outcome.completion_tokens == 40
    assert "the engine ended with exit code 1; it starts again in 0.2 s" in caplog.text
    assert "ZeroDivisionError: unexpected" in caplog.text
