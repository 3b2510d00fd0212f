"""Tells a rival with this box's id from an echo of its own old records. Kind: hands."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from inglenook.discovery.hello import who_answers
from inglenook.discovery.rivals import Rival

#: A box on the same network answers within milliseconds; a busy Pi may take a second.
ASK_S = 2.0
#: Time that an unanswered address is taken for an echo: reflectors repeat old records for minutes,
#: and later a device may have that address.
ECHO_S = 300.0

#: Strangers can claim this box's id, and as many addresses as they like.
_PLACES_MAX, _ECHOES_MAX = 16, 256

_Place = tuple[str, int]


class EchoCheck:
    """Asks at the addresses of rivals with this box's id, and remembers those without an answer."""

    def __init__(self, server_id: str, run_id: str) -> None:
        """Take this box's own facts.

        Args:
            server_id: Its id, which a copy of its SD card has, too.
            run_id: Id of this process, which no other has.
        """
        self._server_id = server_id
        self._run_id = run_id
        self._echoes: dict[_Place, float] = {}

    def may_be_real(self, rival: Rival, port: int) -> bool:
        """Return whether to ask; not at addresses without an answer a while ago."""
        if not rival.may_be_echo:
            return True
        now = asyncio.get_running_loop().time()
        self._echoes = {place: until for place, until in self._echoes.items() if until > now}
        return not set(_places(rival, port)) <= self._echoes.keys()

    async def is_real(self, rival: Rival, interface: str, port: int) -> bool:
        """Return whether the rival is another machine.

        Args:
            rival: The rival.
            interface: The interface on which it was heard.
            port: Port to ask if its own is unknown; this box's.
        """
        if not rival.may_be_echo:
            return True
        places = _places(rival, port)
        answers = await asyncio.gather(*(self._answers(place, interface) for place in places))
        until_s = asyncio.get_running_loop().time() + ECHO_S
        self._echoes |= {
            place: until_s for place, answer in zip(places, answers, strict=True) if not answer
        }
        self._echoes = dict([*self._echoes.items()][-_ECHOES_MAX:])
        return any(answers)

    async def _answers(self, place: _Place, interface: str) -> bool:
        """Return whether another process with this box's id serves there."""
        address, port = place
        host = address
        if ":" in address:
            host = f"[{address}%{interface}]" if address.startswith("fe80:") else f"[{address}]"
        # Its TLS port is announced where there is no other.
        hellos = await asyncio.gather(
            *(who_answers(f"{scheme}://{host}:{port}", ASK_S) for scheme in ("http", "https"))
        )
        return any(
            hello is not None
            and hello.server_id == self._server_id
            and hello.run_id != self._run_id
            for hello in hellos
        )


def _places(rival: Rival, port: int) -> list[_Place]:
    ports: Collection[int] = {*rival.ports, port}
    places = [(address, number) for address in rival.addresses for number in sorted(ports)]
    return places[:_PLACES_MAX]
