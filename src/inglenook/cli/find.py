"""``inglenook find``: look for boxes on this network."""

from __future__ import annotations

import argparse
import asyncio
import os

from inglenook.cli.knownboxes import announced, remember
from inglenook.cli.output import note
from inglenook.discovery.browse import find_boxes


def find(args: argparse.Namespace) -> int:
    """Print one box a line, and remember it for `inglenook wake`; exit code 1 if there is none."""
    from inglenook.cli.table import print_table

    boxes = asyncio.run(find_boxes(args.timeout))
    if not boxes:
        note("no box found; is it on, and on this network? Wi-Fi guest networks keep devices apart")
        return 1
    remember(os.environ, map(announced, boxes))
    print_table(
        ("name", "address", "host name", "model", "state"),
        [(b.name, b.url, b.host_name, b.model or "", b.status or "") for b in boxes],
    )
    return 0
