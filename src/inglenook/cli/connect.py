"""Finding a box, and the token that is sent to that box alone."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from inglenook.cli.pairing import is_own_box, own_key, pair_by_code, pair_with_own_box
from inglenook.cli.terminal.loop_thread import LoopThread
from inglenook.cli.terminal.output import note
from inglenook.client.connection import BoxConnection
from inglenook.client.fingerprint import is_pin, short_pin
from inglenook.client.known_boxes import from_announcement, remember
from inglenook.client.route import (
    on_this_machine,
    parse_url,
    pinned_route,
    route_to_box,
    route_to_pair,
)
from inglenook.client.tokens import BoxToken, TokenStore
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.config import Config, load_config
from inglenook.discovery.box import BoxHello
from inglenook.discovery.browse import find_boxes
from inglenook.discovery.found_box import FoundBox
from inglenook.discovery.hello import who_answers

_LOOK_S = 3.0
_ASK_S = 10.0

#: Errors of tokens that the box will never accept.
_NO_TOKEN = (Code.NOT_PAIRED, Code.REVOKED)

#: Asks the person for the pairing code; None if there is none.
AskCode = Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class BoxChoice:
    """The box to connect to, and how.

    Attributes:
        config: This machine's settings: of its own box, if there is one.
        url: As the user typed it; None: any box that is found.
        token: As the user gave it; None: the stored one.
        pin: Fingerprint of the box's TLS key, as the user gave it.
        insecure: Send secrets wherever the address leads.
        pair: Pair even if there is a token.
    """

    config: Config
    url: str | None = None
    token: str | None = None
    pin: str | None = None
    insecure: bool = False
    pair: bool = False


def box_choice(args: argparse.Namespace, token: str | None) -> BoxChoice:
    """Read the common options of `chat` and `bench`.

    Raises:
        Problem: If the fingerprint is malformed.
    """
    if args.fingerprint is not None and not is_pin(args.fingerprint):
        text = "--fingerprint: must be 16 to 43 characters, as `inglenook pair` on the box shows it"
        raise Problem(Code.BAD_REQUEST, text)
    config = load_config(args.config, os.environ)
    pair = getattr(args, "pair", False)
    return BoxChoice(config, args.url, token, args.fingerprint, args.insecure, pair)


def open_connection(
    choice: BoxChoice, loop: LoopThread, ask_code: AskCode
) -> tuple[BoxConnection, dict[str, Any]]:
    """Connect to the box; pair first if necessary. Returns the box's ``auth_ok``, too.

    Raises:
        Problem: If the box accepts neither token nor code.
        StartupError: If there is no such box, or no way on which a token is safe.
    """
    tokens = TokenStore(os.environ)
    urls = (parse_url(choice.url),) if choice.url else _find(choice.config, tokens, loop)
    url, box = loop.call(_first_that_answers(urls))
    if choice.token is not None:
        return _open(token_for(choice, url, box, tokens), url, urls, box, choice, loop)
    key = None if choice.pair else token_for(choice, url, box, tokens)
    if key is not None:
        try:
            return _open(key, url, urls, box, choice, loop)
        except Problem as exc:
            if exc.code not in _NO_TOKEN:
                raise
            note(exc.text)
            tokens.drop(box.server_id, key.token)
    key = _pair(choice, url, box, loop, ask_code)
    tokens.put(box.server_id, key)
    return _open(key, url, urls, box, choice, loop)


def token_for(choice: BoxChoice, url: str, box: BoxHello, tokens: TokenStore) -> BoxToken | None:
    """The token for a box, and the TLS key it may be sent to; None if there is none.

    A token stored without a key is sent on this machine only; elsewhere any machine could pass as
    the box.
    """
    stored = tokens.get(box.server_id)
    pin = choice.pin or (stored.spki_sha256 if stored else None)
    if choice.pin is None and is_own_box(choice.config, box):
        # A user who can read the box's folder has its current key.
        pin = own_key(choice.config)
    if choice.token is not None:
        return BoxToken(choice.token, pin)
    if stored is None:
        return None
    if pin is None and not choice.insecure and not on_this_machine(url):
        text = "This terminal was paired without the box's TLS key, and has to pair once more."
        note(text)
        return None
    return BoxToken(stored.token, pin)


def _open(
    key: BoxToken | None,
    url: str,
    urls: Sequence[str],
    box: BoxHello,
    choice: BoxChoice,
    loop: LoopThread,
) -> tuple[BoxConnection, dict[str, Any]]:
    assert key is not None
    route = route_to_box(url, box, key.spki_sha256, insecure=choice.insecure)
    # Its other addresses are for reconnecting; only the key proves that they are the box's.
    pin = route.pin
    others = [pinned_route(other, box, pin) for other in urls if other != url] if pin else []
    wire = BoxConnection(route, key.token, others)
    return wire, loop.call(wire.open())


async def _first_that_answers(urls: Sequence[str]) -> tuple[str, BoxHello]:
    for url in urls:
        box = await who_answers(url, _ASK_S)
        if box is not None:
            return url, box
    raise StartupError(f"no box answers at {' or '.join(urls)}")


def _pair(
    choice: BoxChoice, url: str, box: BoxHello, loop: LoopThread, ask_code: AskCode
) -> BoxToken:
    if is_own_box(choice.config, box):
        # A token is useless on a route on which it may not be sent.
        route_to_box(url, box, own_key(choice.config), insecure=choice.insecure)
        key = pair_with_own_box(choice.config)
        if key is not None:
            return key
    if not sys.stdin.isatty():
        raise StartupError(
            "this terminal is not paired; run `inglenook chat` by hand once, or give a token in "
            "INGLENOOK_TOKEN or with --token -"
        )
    route = route_to_pair(url, box, choice.pin, insecure=choice.insecure)
    print("This terminal is not paired yet. On the box, run `inglenook pair`.", file=sys.stderr)
    if route.pin is not None and choice.pin is None:
        print(f"It must show this key: {short_pin(route.pin)}", file=sys.stderr)
    key, met = loop.call(pair_by_code(route, box, ask_code() or ""))
    remember(os.environ, [met])
    return key


def _find(config: Config, tokens: TokenStore, loop: LoopThread) -> tuple[str, ...]:
    """Addresses of this machine's own box if one runs here, else of one on the network.

    Paired boxes come before others, then boxes that answer before those only announced.
    """
    listen = config.listen
    port, scheme = (listen.port, "http") if listen.port else (listen.tls_port, "https")
    local = f"{scheme}://127.0.0.1:{port}"
    if port and loop.call(who_answers(local, _ASK_S)) is not None:
        return (local,)
    paired = tokens.all()

    def suits(found: FoundBox) -> bool:
        return not paired or found.box.server_id in paired

    boxes = loop.call(_look(suits))
    if not boxes:
        raise StartupError("no box found on this network; name one with --url")
    remember(os.environ, map(from_announcement, boxes))
    found = min(boxes, key=lambda found: (not suits(found), found.hello is None))
    if found.hello is None:
        raise StartupError(
            f"{found.box.name} is announced at {found.url} and does not answer; is it on? "
            "`inglenook find` shows others"
        )
    note(f"found {found.box.name} at {found.url}")
    # Not all announced addresses have been tried yet.
    return tuple(dict.fromkeys((*found.urls, *found.box.urls)))


def _look(suits: Callable[[FoundBox], bool]) -> Coroutine[Any, Any, list[FoundBox]]:
    return find_boxes(_LOOK_S, until=suits)
