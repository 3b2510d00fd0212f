"""``inglenook run`` and ``inglenook up``: the daemon in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import shlex
import signal
from pathlib import Path

from inglenook.cli.terminal.output import note, say
from inglenook.cli.terminal.progress import LoadingProgress
from inglenook.config import Config, load_config, settings_file
from inglenook.daemon import Daemon, claim_state_folder
from inglenook.daemon.service import Systemd
from inglenook.systemd import Notifier, inherited_sockets

#: The first attempt to announce takes about a second: three probes, 250 ms apart (RFC 6762, 8.1).
_MDNS_WAIT_S = 8.0

_STDIN = 0

#: Numbers of mallopt(3) in glibc's malloc.h; other C libraries have no such function.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8

#: Blocks of this size and more are mapped by themselves, so they go when they are freed. asyncio
#: reads 256 KiB at a time from each socket, and between the small blocks that live on, such large
#: ones tear the heap: with twenty phones connected it has 4 MB less so.
_LARGE_BYTES = 64 << 10


def run(args: argparse.Namespace) -> int:
    """Run the daemon until a signal stops it."""
    config = load_config(args.config, os.environ)
    return asyncio.run(_serve(config, args, welcome=False))


def up(args: argparse.Namespace) -> int:
    """Fetch the starter model if no model is chosen, then run and show how to pair."""
    config = load_config(args.config, os.environ)
    if (source := args.config or settings_file(os.environ)) is not None:
        note(f"settings from {source}")
    if config.model.path is None:
        claim_state_folder(config.state_dir)
        from inglenook.cli.model import fetch_starter

        fetch_starter(config.state_dir / "models")
    return asyncio.run(_serve(config, args, welcome=True))


async def _serve(config: Config, args: argparse.Namespace, *, welcome: bool) -> int:
    # First: what is meant for this process alone, no child of its may see.
    _keep_heap_small()
    systemd = Systemd(Notifier(os.environ), inherited_sockets(os.environ))
    loading = LoadingProgress() if welcome else None

    def show_loading() -> None:
        if loading is not None:
            loading.show(daemon.engine_state)

    daemon = Daemon(
        config,
        on_change=show_loading,
        systemd=systemd,
        reread=lambda: load_config(args.config, os.environ),
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop.set)
    # SIGHUP means a closed terminal, or a service manager's request to reload.
    hung_up = daemon.stop if os.isatty(_STDIN) else daemon.reload
    loop.add_signal_handler(signal.SIGHUP, hung_up.set)
    await daemon.run(None if loading is None else lambda: _welcome(daemon, loading, args.config))
    return 0


def _keep_heap_small() -> None:
    """Have the C library give back unused memory; before the first large allocation."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_ARENA_MAX, 1)


async def _welcome(daemon: Daemon, loading: LoadingProgress, settings: Path | None) -> None:
    """Print, once the box can be used, how to use it.

    Args:
        daemon: The box.
        loading: Is settled once the model is loaded.
        settings: The file named by ``--config``, which other commands need, too.
    """
    mdns = await daemon.mdns_state(_MDNS_WAIT_S)
    await loading.settled.wait()
    urls = await daemon.urls()
    fault = daemon.engine_state.why
    is_on = "is on, but cannot answer yet" if fault else "is ready"
    say()
    say(f"{daemon.identity.name} {is_on}.", first="  ", rest="  ")
    for number, url in enumerate(urls):
        say(url, first="  Page   " if number == 0 else "         ", rest="  ")
    say(mdns.sentence, first="  mDNS   ", rest="         ")
    if not daemon.has_devices:
        from inglenook.cli.terminal.qr import print_pairing

        window = daemon.door.open()
        say()
        print_pairing(
            urls=urls,
            code=window.shown_code,
            secret=window.secret,
            server_id=daemon.identity.server_id,
            spki_sha256=daemon.identity.spki_sha256,
        )
    text = f"Ctrl-C stops the box. `{_pair_command(settings)}` lets more devices in."
    say(text, first="  ", rest="  ")
    if fault:
        say(f"No answers yet: {fault}.", first="\n  ", rest="  ")


def _pair_command(settings: Path | None) -> str:
    """The command that pairs a device with this very box, from any folder."""
    named = "" if settings is None else f" --config {shlex.quote(str(settings.absolute()))}"
    return f"inglenook pair{named}"
