"""Options that several commands have in common."""

from __future__ import annotations

import argparse
import os


def add_token_options(parser: argparse.ArgumentParser) -> None:
    """For commands that send a token: which, and to whom."""
    parser.add_argument(
        "--token",
        default=os.environ.get("INGLENOOK_TOKEN"),
        help="a device's token; other users of this machine can see it here, so better set "
        "INGLENOOK_TOKEN, or write - to type it or have it first in a pipe",
    )
    parser.add_argument(
        "--fingerprint",
        metavar="KEY",
        help="the box's TLS key, as `inglenook pair` shows it; the token goes to no other",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="send the token to whatever answers at the address, without TLS if need be",
    )
