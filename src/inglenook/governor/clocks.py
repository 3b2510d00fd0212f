"""Caps the processor's clock, and gives it back as it was found. Kind: hands.

The caps of cpufreq outlive the program that sets them. So before the first one is lowered, all are
written to a file; who finds that file (the next start, or this module run as a program when the
service has stopped) sets them back.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inglenook.governor.sensors.clock import find_policies
from inglenook.governor.sensors.files import number_of, parse_number, text_of

log = logging.getLogger(__name__)

#: Name of the file in the state folder.
KEPT_NAME = "clocks.json"

#: No cap is lower than this share of the highest clock: the rest of the box has work to do, too,
#: and the voltage, which is what a lower clock saves, hardly falls any further.
_LEAST = 0.5

#: Drivers that do not list their clocks take any; this many steps are offered then.
_STEPS = 10

_POLICIES = "sys/devices/system/cpu/cpufreq"
_CAP = "scaling_max_freq"


@dataclass(frozen=True, slots=True)
class _Capped:
    """Cores whose clock may be capped.

    Attributes:
        name: Of their folder.
        found_khz: The cap as it was found.
        least_khz: The lowest that will be set.
    """

    name: str
    found_khz: int
    least_khz: int

    def at(self, share: float) -> int:
        """The cap at a share of the one that was found, in kHz."""
        return max(self.least_khz, min(self.found_khz, round(share * self.found_khz)))


class ClockCaps:
    """The clocks of one board; all methods block for a moment, call them from one thread.

    Attributes:
        shares: Caps that may be set, as shares of the highest clock, 1 first; only that until
            `take`, and where none may be set.
    """

    def __init__(self, root: Path, state_dir: Path) -> None:
        """Nothing is read or written yet.

        Args:
            root: Folder in which ``sys`` and ``proc`` stand.
            state_dir: Where to keep what was found.
        """
        self.shares: tuple[float, ...] = (1.0,)
        self._root = root
        self._kept = state_dir / KEPT_NAME
        self._capped: list[_Capped] = []
        self._share = 1.0

    def take(self) -> None:
        """Undo what a killed daemon left behind, and see what may be set.

        Not while the kernel itself holds the clock down: what is read then is its cap, not the
        owner's, and would be what is set back in the end.
        """
        if not restore(self._root, self._kept):
            return
        self._capped = _find_capped(self._root)
        self.shares = _shares(self._root, self._capped)
        if len(self.shares) > 1:
            names = ", ".join(capped.name for capped in self._capped)
            log.info("the clock may be capped (%s), to %.0f %%", names, 100 * self.shares[-1])

    def cap(self, share: float) -> None:
        """Cap the clock at one of `shares`; if that fails, it is given back and left alone."""
        if share == self._share or share not in self.shares:
            return
        try:
            if not self._kept.exists():
                self._keep()
            for capped in self._capped:
                _write(self._root, capped.name, capped.at(share))
        except OSError as exc:
            log.warning("the clock cannot be capped, so pauses have to do: %s", exc)
            self.release()
        else:
            self._share = share

    def release(self) -> None:
        """Set everything back as it was found; nothing may be set any more."""
        self.shares, self._share = (1.0,), 1.0
        restore(self._root, self._kept)

    def _keep(self) -> None:
        kept = {capped.name: capped.found_khz for capped in self._capped}
        text = json.dumps({"boot_id": _boot_id(self._root), "khz": kept})
        with self._kept.open("x", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def restore(root: Path, kept: Path) -> bool:
    """Set the clocks back as the file says, and remove it.

    After a restart of the whole box they are as they should be, whatever it says.

    Args:
        root: Folder in which ``sys`` stands.
        kept: The file; it need not be there.

    Returns:
        Whether all that had to be set could be; the file stays if not.
    """
    try:
        text = kept.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return True
    except OSError as exc:
        log.warning("the clock may stay capped: %s", exc)
        return False
    done = [_restored(root, name, khz) for name, khz in _read_kept(root, text).items()]
    if not all(done):
        return False
    with contextlib.suppress(OSError):  # then it is done once more
        kept.unlink()
    return True


def _restored(root: Path, name: str, khz: int) -> bool:
    try:
        _write(root, name, khz)
    except FileNotFoundError:
        return True  # those cores have gone, and their cap with them
    except OSError as exc:
        log.warning("the clock of %s stays capped: %s", name, exc)
        return False
    return True


def _read_kept(root: Path, text: str) -> dict[str, int]:
    """The caps to set, by the policies there are; a file that was cut off came before any cap."""
    try:
        kept: Any = json.loads(text)
        khz = kept["khz"] if kept["boot_id"] == _boot_id(root) else {}
        return {name: khz[name] for name in _names(root) if isinstance(khz.get(name), int)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _find_capped(root: Path) -> list[_Capped]:
    """List the cores whose cap may be lowered; none if only some of those there are."""
    found = []
    for policy in find_policies(root):
        folder = Path(policy.folder)
        khz = number_of(folder / _CAP)
        if not khz or not _may_write(folder / _CAP):
            return []
        floor_khz = number_of(folder / "scaling_min_freq") or 0
        least_khz = max(round(_LEAST * policy.most_khz), floor_khz)
        found.append(_Capped(folder.name, khz, least_khz))
    return found


def _shares(root: Path, found: list[_Capped]) -> tuple[float, ...]:
    """What may be chosen from: the clocks of the fastest cores, from the cap found to the least."""
    if not found:
        return (1.0,)
    fastest = max(found, key=lambda capped: capped.found_khz)
    most_khz, least_khz = fastest.found_khz, fastest.least_khz
    words = text_of(root / _POLICIES / fastest.name / "scaling_available_frequencies").split()
    listed = [khz for word in words if (khz := parse_number(word)) is not None]
    even = [most_khz - step * (most_khz - least_khz) // _STEPS for step in range(1, _STEPS + 1)]
    below = {khz for khz in listed or even if least_khz <= khz < most_khz}
    return (1.0, *(khz / most_khz for khz in sorted(below, reverse=True)))


def _names(root: Path) -> list[str]:
    return [Path(policy.folder).name for policy in find_policies(root)]


def _write(root: Path, name: str, khz: int) -> None:
    # Not made if it is not there, in one call, as the kernel wants it.
    file = os.open(root / _POLICIES / name / _CAP, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(file, f"{khz}\n".encode())
    finally:
        os.close(file)


def _may_write(path: Path) -> bool:
    """Whether it may be written: most services may not, or see a file system that is read-only."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _boot_id(root: Path) -> str:
    return text_of(root / "proc/sys/kernel/random/boot_id")


def main(state_dir: str) -> int:
    """Set the clocks back after a daemon that could not."""
    return 0 if restore(Path("/"), Path(state_dir) / KEPT_NAME) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
