"""``inglenook config``: the settings in force."""

from __future__ import annotations

import argparse
import os

from inglenook.config import load_config, show


def config(args: argparse.Namespace) -> None:
    """Print them as YAML; there are no secrets among them."""
    print(show(load_config(args.config, os.environ)), end="")
