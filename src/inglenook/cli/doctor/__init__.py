"""What the doctor looks at."""

from __future__ import annotations

from inglenook.cli.parser import Commands


def register(command: Commands) -> None:
    """Add ``inglenook doctor``."""
    help_text = "examine this board, and say what to do if something is wrong"
    doctor = command("doctor", "doctor.doctor:doctor", help_text)
    doctor.add_argument(
        "--suspend-test", action="store_true", help="suspend the board once, for a minute"
    )
    doctor.add_argument("--yes", action="store_true", help="do so without asking")
