"""Suggestions for unknown settings. Kind: rules."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from inglenook.config.schema import SETTINGS

_KEYS = [setting.key for setting in SETTINGS]
_LENGTH_MAX = 40


def did_you_mean(section: str, name: str) -> str:
    """Return a clause such as ``, did you mean 'port'?``; empty if no setting is similar.

    The same name in another section comes before a similar name in this one.

    Args:
        section: Its section; empty is the top.
        name: The unknown name.
    """
    if len(name) > _LENGTH_MAX:  # comparing takes the square of the length
        return ""
    if "." in name and name in _KEYS:  # people write what our messages say
        outer, _, inner = name.partition(".")
        return f"; write '{inner}:' indented below '{outer}:'"
    inside = f"{section}." if section else ""
    beside = {key.removeprefix(inside).partition(".")[0] for key in _KEYS if key.startswith(inside)}
    same = [key for key in _KEYS if _last(key) == name]
    close = _nearest(name, beside, 0.85 if same else 0.6)
    meant = close + same or _elsewhere(name)
    return f", did you mean {' or '.join(map(repr, meant))}?" if meant else ""


def _elsewhere(name: str) -> list[str]:
    close = _nearest(name, {_last(key) for key in _KEYS}, 0.6)
    return [key for key in _KEYS if _last(key) in close]


def _nearest(name: str, known: Iterable[str], cutoff: float) -> list[str]:
    def likeness(word: str) -> tuple[float, bool]:
        ratio = difflib.SequenceMatcher(None, name.lower(), word).ratio()
        return ratio, word[:1] == name[:1].lower()  # few mistype the first letter

    best = max(sorted(known), key=likeness)  # sorted, or chance would choose among equals
    return [best] if likeness(best)[0] >= cutoff else []


def _last(key: str) -> str:
    return key.rpartition(".")[2]
