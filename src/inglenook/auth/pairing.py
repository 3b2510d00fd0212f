"""The pairing window: five minutes, one phone, five wrong tries an address. Kind: rules.

The secret is for the QR code; the code is typed by people. Five tries at 40 bits leave a stranger
one chance in 200 billion, and a thousand from many addresses one in a billion. Tries are counted by
address, and not against the secret, so that a stranger's guesses do not block pairing.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

OPEN_S = 300.0

#: Wrong tries of one address, after which the code is refused from there.
TRIES = 5

#: Wrong tries of all addresses, after which the code is refused from anywhere.
TRIES_IN_ALL = 1000

_SECRET_BYTES = 16
_CODE_BYTES = 5
_CODE_CHARACTERS = 8

# Douglas Crockford's base 32 (crockford.com/base32.html): no I, L, O or U.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FORGIVEN = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


class WindowEnd(StrEnum):
    """Why a window is closed."""

    USED = "used"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class PairingWindow:
    """A pairing window, after the tries so far.

    Attributes:
        secret: 128 random bits as 22 characters of base64url.
        code: 8 characters of Crockford's base 32, in the form compared; people see `shown_code`.
        name: The new device's name, from the operator; None takes the device's own.
        closes_at: When it expires, monotonic seconds.
        wrong: Wrong tries so far, by the address they came from.
        used: A phone was paired through it.
    """

    secret: str = field(repr=False)
    code: str = field(repr=False)
    name: str | None
    closes_at: float
    wrong: Mapping[str, int] = field(default_factory=dict)
    used: bool = False

    @classmethod
    def open(
        cls, now: float, entropy: Callable[[int], bytes], name: str | None = None
    ) -> PairingWindow:
        """Open a window.

        Args:
            now: Monotonic seconds.
            entropy: Gives that many unpredictable bytes, as `secrets.token_bytes` does.
            name: The new device's name; None takes the device's own.
        """
        secret = base64.urlsafe_b64encode(entropy(_SECRET_BYTES)).decode().rstrip("=")
        number = int.from_bytes(entropy(_CODE_BYTES))
        code = "".join(
            _ALPHABET[number >> shift & 31] for shift in range(0, 5 * _CODE_CHARACTERS, 5)
        )
        return cls(secret, code, name, now + OPEN_S)

    @property
    def shown_code(self) -> str:
        """The code in two groups, ``ABCD-EFGH``."""
        return f"{self.code[:4]}-{self.code[4:]}"

    def closed(self, now: float) -> WindowEnd | None:
        """Return why the window is closed; None while it is open."""
        if self.used:
            return WindowEnd.USED
        return WindowEnd.EXPIRED if now >= self.closes_at else None

    def tries_left(self, peer: str) -> int:
        """Return the number of wrong codes left to an address."""
        in_all = TRIES_IN_ALL - sum(self.wrong.values())
        return max(0, min(TRIES - self.wrong.get(peer, 0), in_all))


@dataclass(frozen=True, slots=True)
class Accepted:
    """The phone gets a token; the window is then closed."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """The offer is neither the code nor the secret.

    Attributes:
        tries_left: At 0 only the secret counts from this address.
    """

    tries_left: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The window was closed; nothing was compared."""

    why: WindowEnd


def attempt(
    window: PairingWindow, offered: str, now: float, peer: str = ""
) -> tuple[PairingWindow, Accepted | Wrong | Closed]:
    """Check one try.

    Args:
        window: The window after the last try.
        offered: Secret or code, the code as people type it.
        now: Monotonic seconds.
        peer: The address of the try.

    Returns:
        The window after this try, and the result.
    """
    why = window.closed(now)
    if why is not None:
        return window, Closed(why)
    left = window.tries_left(peer)
    # Both are always compared, each in constant time, so the answer's delay reveals nothing.
    is_secret = _same(offered.strip(), window.secret)
    is_code = _same(offered.upper().translate(_FORGIVEN), window.code)
    if is_secret or (is_code and left > 0):
        return replace(window, used=True), Accepted()
    if left > 0:
        window = replace(window, wrong={**window.wrong, peer: window.wrong.get(peer, 0) + 1})
    return window, Wrong(max(0, left - 1))


def _same(offered: str, kept: str) -> bool:
    # "replace": a lone surrogate cannot be encoded, and no code or secret holds a question mark.
    return hmac.compare_digest(offered.encode(errors="replace"), kept.encode())
