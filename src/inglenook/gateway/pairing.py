"""Pairing a new device: the window and ``POST /pair``. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Device, Scope, clean_name
from inglenook.auth.pairing import TRIES, Accepted, PairingWindow, Wrong, attempt
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.common.guarded import Guard

log = logging.getLogger(__name__)

#: A wrong try is answered no sooner, seconds; the code bears five of them an address.
_WRONG_DELAY_S = 0.25

_OFFER_CHARACTERS_MAX = 64


class PairingDoor:
    """The one pairing window there may be."""

    def __init__(self, allowlist: Allowlist, on_change: Callable[[], None]) -> None:
        """``on_change`` is called, synchronously, when the window opens or closes."""
        self._allowlist = allowlist
        self._on_change = on_change
        self._telling = Guard("news of the pairing window")
        self._window: PairingWindow | None = None
        self._guesses_logged = False
        # Done when the window that is open now closes; holds the device it paired, if any.
        self._closed: asyncio.Future[Device | None] | None = None
        self._code = ""

    @property
    def is_open(self) -> bool:
        """Whether a phone may pair now."""
        return self._window is not None and self._window.closed(self._now()) is None

    def open(self, name: str | None = None) -> PairingWindow:
        """Open a window in place of an open one; ``name`` is for the device to be paired."""
        _settle(self._closed, None)
        self._closed = asyncio.get_running_loop().create_future()
        self._window = PairingWindow.open(self._now(), secrets.token_bytes, name)
        self._code = self._window.shown_code
        self._guesses_logged = False
        asyncio.get_running_loop().call_at(
            self._window.closes_at, self._expire, self._window.secret
        )
        log.info("pairing is open for 5 minutes")
        self._changed()
        return self._window

    async def wait_closed(self, code: str | None = None) -> Device | None:
        """Wait until a window closes; returns the device it paired, if any.

        Args:
            code: As the window shows it; None is the latest. One in whose place another was opened
                meanwhile is closed, and the device that the other pairs is not its own.
        """
        if self._closed is None or code not in (None, self._code):
            return None
        return await asyncio.shield(self._closed)

    async def pair(self, body: Any, peer: str = "") -> tuple[Device, str]:
        """Judge one try; returns the new device and its token.

        Args:
            body: What was sent.
            peer: The address it comes from, as `peer_group` names it.

        Raises:
            Problem: `Code.FORBIDDEN`, the same whatever was wrong with the try, or
                `Code.BAD_REQUEST` for a body that is no try at all.
        """
        offered, device_name, platform = _read(body)
        window = self._window
        if window is not None:
            self._window, verdict = attempt(window, offered, self._now(), peer)
            if isinstance(verdict, Accepted):
                return await self._let_in(window.name or device_name, platform)
            if isinstance(verdict, Wrong) and verdict.tries_left == 0:
                self._log_guesses(peer)
        await asyncio.sleep(_WRONG_DELAY_S)
        raise Problem(
            Code.FORBIDDEN,
            "That code is not right, or pairing is closed. On the box, "
            "`inglenook pair` opens it again and shows a new code.",
        )

    async def _let_in(self, name: str, platform: str) -> tuple[Device, str]:
        # While the file is written, the owner may open another window; this one is that try's.
        closed = self._closed
        device = None
        try:
            device, token = await asyncio.to_thread(
                self._allowlist.add, name, (Scope.CHAT,), None, platform
            )
        except StartupError as exc:
            log.warning("no device could be paired: %s", exc)
            text = "The box could not keep the new device; its log says why."
            raise Problem(Code.INTERNAL, text) from exc
        finally:
            _settle(closed, device)
            self._changed()
        log.info("paired %s (%s)", device.device_id, device.name)
        return device, token

    def _log_guesses(self, peer: str) -> None:
        """Log once a window that tries are used up: strangers have many addresses."""
        if not self._guesses_logged:
            self._guesses_logged = True
            log.warning(
                "wrong pairing codes came from %s, %d of them; until pairing is opened again only "
                "the QR code works there",
                peer or "one address",
                TRIES,
            )

    def _expire(self, secret: str) -> None:
        window = self._window
        if window is not None and window.secret == secret and window.closed(0.0) is None:
            log.info("pairing is closed again")
            self._close(None)

    def _close(self, device: Device | None) -> None:
        _settle(self._closed, device)
        self._changed()

    def _changed(self) -> None:
        with self._telling:
            self._on_change()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _settle(closed: asyncio.Future[Device | None] | None, device: Device | None) -> None:
    if closed is not None and not closed.done():
        closed.set_result(device)


def _read(body: Any) -> tuple[str, str, str]:
    if not isinstance(body, dict):
        raise Problem(Code.BAD_REQUEST, "The body must be an object with 'code' or 'secret'.")
    offered = body.get("secret", body.get("code"))
    if not isinstance(offered, str) or not 0 < len(offered) <= _OFFER_CHARACTERS_MAX:
        raise Problem(Code.BAD_REQUEST, "'code' or 'secret' must be what the box shows.")
    device_name = body.get("device_name") or "Phone"
    platform = body.get("platform") or ""
    if not isinstance(device_name, str) or not isinstance(platform, str):
        raise Problem(Code.BAD_REQUEST, "'device_name' and 'platform' must be strings.")
    # Before the try is judged: a bad name must not use the window up.
    return offered, clean_name(device_name[:64]), platform
