"""The systemd service: installing, removing, its state."""

from __future__ import annotations

from pathlib import Path

from inglenook.cli.parser import Commands


def register(command: Commands) -> None:
    """Add ``inglenook service`` and its actions."""
    show = "service.status:status"
    service = command("service", show, "install, remove or show the systemd service")
    group = service.add_subparsers(metavar="ACTION")
    help_text = "install and start the systemd service"
    install = command("install", "service.service:install", help_text, group)
    install.add_argument("--dry-run", action="store_true", help="show every file, write none")
    help_text = "remove the systemd service"
    uninstall = command("uninstall", "service.service:uninstall", help_text, group)
    uninstall.add_argument("--purge", action="store_true", help="remove state and settings, too")
    for added in (install, uninstall):
        added.add_argument(
            "--root", type=Path, metavar="DIR", help="write below this folder, and start nothing"
        )
    command("status", show, "show how the service is", group)
