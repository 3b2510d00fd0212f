"""``inglenook find``: look for boxes on this network."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence

from inglenook.cli.terminal.output import note
from inglenook.client.known_boxes import from_announcement, remember
from inglenook.discovery.browse import find_boxes
from inglenook.discovery.found_box import TWIN_CURE, FoundBox, twins


def find(args: argparse.Namespace) -> int:
    """Print a line a box, and store each for `inglenook wake`; exit code 1 if none answers."""
    from inglenook.cli.terminal.table import print_table

    boxes = asyncio.run(find_boxes(args.timeout))
    if not boxes:
        note("no box found; is it on, and on this network? Wi-Fi guest networks keep devices apart")
        return 1
    remember(os.environ, map(from_announcement, boxes))
    print_table(
        ("name", "address", "host name", "model", "state"),
        [(b.box.name, b.url, b.box.host_name, ", ".join(b.box.models), _state(b)) for b in boxes],
    )
    for same in twins(boxes):
        note(_complaint(same))
    return 0 if any(each.hello is not None for each in boxes) else 1


def _state(found: FoundBox) -> str:
    """The announced status; of a box that does not answer, only whether it sleeps."""
    status = found.box.status or ""
    if found.hello is not None:
        return status
    return "sleep, no answer" if status == "sleep" else "no answer"


def _complaint(same: Sequence[FoundBox]) -> str:
    who = " and ".join(f"{each.box.name} at {each.url}" for each in same)
    count = "two" if len(same) == 2 else len(same)
    return f"{count} boxes have one id, {same[0].box.server_id}: {who}; {TWIN_CURE}"
