"""What a phone is told that has not authenticated."""

from __future__ import annotations

import pytest

from inglenook.auth.allowlist import Allowlist
from inglenook.common.errors import Code, Problem
from inglenook.protocol.session import CloseCode
from tests.gateway.conftest import Home
from tests.parts.phone import knocking


@pytest.mark.parametrize(
    ("code", "closes", "told"),
    [
        (Code.NOT_PAIRED, CloseCode.NOT_AUTHORISED, ["not_paired"]),
        (Code.REVOKED, CloseCode.NOT_AUTHORISED, ["revoked"]),
        # At 'auth_invalid' a phone forgets its token, which is still good.
        (Code.INTERNAL, CloseCode.FAULT, []),
    ],
)
async def test_only_the_phones_own_fault_is_said_to_be_one(
    home: Home, monkeypatch: pytest.MonkeyPatch, code: Code, closes: CloseCode, told: list[str]
) -> None:
    """A fault of the box closes the connection, and the phone comes back with its token."""

    async def check(_allowlist: Allowlist, _token: str, _now: float) -> Problem:
        return Problem(code, "No.")

    monkeypatch.setattr(Allowlist, "check_fresh", check)
    async with knocking(home.url) as phone:
        await phone.send({"type": "auth", "token": home.token})
        assert await phone.wait_closed() == closes

    assert [frame["code"] for frame in phone.others if frame["type"] == "auth_invalid"] == told
