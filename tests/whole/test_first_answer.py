"""The program as a household meets it: pair, ask, read."""

from __future__ import annotations

from tests.parts.box import Box
from tests.parts.phone import chat, connected


async def test_a_phone_that_paired_by_code_asks_and_reads_the_answer_as_it_is_written(
    box: Box,
) -> None:
    """Pairing, authentication, a question, deltas, the end: nothing but the real thing."""
    token = box.pair("Ada's phone")
    async with connected(box.url, token) as phone:
        answer = await phone.ask(chat("What is the capital of France?", max_tokens=40))
    assert "Paris" in answer.text
    assert len(answer.deltas) > 1
    assert answer.done is not None
    assert answer.done["status"] == "completed"
