"""Whether a state that cannot be cut is worth its bytes. Kind: rules."""

from __future__ import annotations

from collections.abc import Sequence

from inglenook.engine.worker.prefix.tiers import WAITING_BYTES_MAX, Tiers

#: Bytes that a state may take for each token that it saves prefilling. In RAM, many times what a
#: small board copies while it prefills one; on a disk, to spare the card, at most what the cells of
#: a model with attention take (Gemma 3 4B: 136 KiB). Such states have 0.2 to 135 MB, however many
#: tokens are before them.
MEMORY_BYTES_PER_TOKEN = 2**20
DISK_BYTES_PER_TOKEN = 128 * 2**10

#: Share of the RAM tier that one state may take, as it displaces others.
STATE_SHARE = 0.5


def is_worth_keeping(
    tiers: Tiers, tokens: Sequence[int], state_bytes: int, namespace: bytes = b""
) -> bool:
    """Whether a state of ``state_bytes`` after ``tokens`` may be stored, in RAM or at all."""
    if not tiers.ram_bytes:
        small = state_bytes <= WAITING_BYTES_MAX
        return small and is_worth_writing(tiers, tokens, state_bytes, namespace)
    gained = len(tokens) - tiers.index.match(tokens, namespace)[1]
    worth = gained * MEMORY_BYTES_PER_TOKEN >= state_bytes
    return worth and state_bytes <= tiers.ram_bytes * STATE_SHARE


def is_worth_writing(
    tiers: Tiers, tokens: Sequence[int], state_bytes: int, namespace: bytes = b""
) -> bool:
    """Whether a state of ``state_bytes`` after ``tokens`` is worth writing to the disk."""
    states = tiers.index.states(tokens, namespace)
    written = next((state.stop for state in states if state.key in tiers.disk), 0)
    gained = len(tokens) - written
    return tiers.has_disk and gained * DISK_BYTES_PER_TOKEN >= state_bytes
