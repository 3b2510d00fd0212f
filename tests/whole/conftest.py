"""How fast this machine writes, so that what a test interrupts still goes on by then."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.parts.box import Box
from tests.parts.phone import connected, long_chat

#: Longer than any test takes to come to the point, on a machine of any kind; and two of them, with
#: their questions, are no more than a box of tests has room for.
ENDLESS_TOKENS = 900

#: No machine counts as slower than the one these tests were written on, which may just be busy.
_RATE_TOK_S = 100.0

#: For a whole test; the machine may be several times slower than that one.
_TEST_S = 600

TokensIn = Callable[[float], int]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are slow, and have the time that a real model takes."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(_TEST_S))
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def tokens_in(box: Box, token: str) -> TokensIn:
    """Tells how many tokens one answer, written alone, takes so many seconds for here."""
    rate_tok_s = asyncio.run(_measure(box, token))

    def tokens(duration_s: float) -> int:
        return min(math.ceil(duration_s * rate_tok_s), ENDLESS_TOKENS)

    return tokens


async def _measure(box: Box, token: str) -> float:
    """Tokens a second at its best."""
    rates = [_RATE_TOK_S]
    async with connected(box.url, token) as phone:
        for _ in range(3):
            answer = await phone.ask(long_chat(32))
            assert answer.done is not None
            rates.append(float(answer.done["timings"]["decode_tok_s"]))
    return max(rates)
