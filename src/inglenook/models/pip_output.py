"""Reasons of pip's failures, from its output. Kind: rules."""

from __future__ import annotations

import re

_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S*", re.IGNORECASE)
_MAX_CHARS = 300

_CHECK_NETWORK = "check the network and pip's own settings (`pip config list`), then try again"

# Words of pip, urllib3 and the system, what they mean, what to do; the first found counts.
_KNOWN = (
    (
        "No module named pip",
        "this Python has no pip",
        "install pip with your package manager or `python -m ensurepip`",
    ),
    ("No space left on device", "the disk is full", "free some space and try again"),
    ("connection broken by", "the package index cannot be reached", _CHECK_NETWORK),
    ("timed out", "the package index stopped answering", _CHECK_NETWORK),
    (
        "No matching distribution found",
        "the package index does not have it",
        "check which index pip uses (`pip config list`)",
    ),
)


def explain(output: str) -> tuple[str, str]:
    """Turn pip's output into a reason and a remedy, each a part of a sentence."""
    for words, reason, remedy in _KNOWN:
        if words in output:
            return reason, remedy
    said = _last_error(output)
    return (f"pip says: {said}" if said else "pip failed without a word"), _CHECK_NETWORK


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    # "Exception:" heads a traceback, whose last line says more.
    errors = [line for line in lines if line.startswith("ERROR:") and line != "ERROR: Exception:"]
    if not lines:
        return ""
    # Any part of a private index's address can be secret: user, password, path, query.
    said = _URL.sub("(address)", (errors or lines)[-1].removeprefix("ERROR:").strip())
    printable = "".join(char if char.isprintable() else " " for char in said)
    return printable if len(printable) <= _MAX_CHARS else printable[: _MAX_CHARS - 1] + "…"
