"""``inglenook service status``: the state of the units, from systemd."""

from __future__ import annotations

import argparse

from inglenook.cli.doctor.result import CheckResult, Verdict, fix, ok, print_section, warning
from inglenook.cli.service.files import PORTS, SERVICE, WAKE
from inglenook.cli.service.systemctl import last_words, show
from inglenook.cli.terminal.output import note
from inglenook.common.units import format_bytes

_LOG_LINES = 10


def status(_args: argparse.Namespace) -> int:
    """Print the service's state; exit code 1 if something is broken."""
    lines = [_service(), _ports(), _wake_socket(), *_memory()]
    print_section("Service", lines)
    if lines[0].verdict is Verdict.FIX:
        for line in last_words(SERVICE, _LOG_LINES):
            note(line)
    return 1 if any(line.verdict is Verdict.FIX for line in lines) else 0


def _service() -> CheckResult:
    unit = show(SERVICE, "LoadState", "ActiveState", "SubState", "Result", "StatusText")
    state = _one(unit["ActiveState"])
    text = _one(unit["StatusText"])
    if _one(unit["LoadState"]) != "loaded":
        return fix("service", "not installed; `sudo inglenook service install` does that")
    if state in ("active", "reloading"):
        return ok("service", f"active: {text}" if text else "active")
    if state == "activating" and _one(unit["SubState"]) != "auto-restart":
        return warning("service", f"starting: {text}" if text else "starting")
    if state == "inactive":
        if _one(show(PORTS, "ActiveState")["ActiveState"]) == "active":
            return ok("service", "asleep; the next connection starts it")
        return warning("service", f"stopped; `sudo systemctl start {SERVICE}` starts it")
    why = _one(unit["Result"]).replace("-", " ")
    return fix(
        "service", f"{state}, because of: {why}; its last words follow, if you may read them"
    )


def _ports() -> CheckResult:
    return _socket("ports", PORTS)


def _wake_socket() -> CheckResult:
    line = _socket("wake", WAKE)
    # Without it the box works, but cannot be woken by a packet.
    return line if line.verdict is Verdict.OK else warning(line.what, line.text)


def _socket(what: str, name: str) -> CheckResult:
    unit = show(name, "LoadState", "ActiveState", "Result", "Listen")
    listens = ", ".join(value.partition(" (")[0] for value in unit["Listen"])
    if _one(unit["LoadState"]) != "loaded":
        return warning(what, f"{name} is not installed")
    if _one(unit["ActiveState"]) == "active":
        return ok(what, f"systemd listens on {listens}")
    why = _one(unit["Result"]).replace("-", " ")
    # After too many failures systemd refuses a start for ten minutes, unless they are reset.
    # Both are restarted: systemd opens no ports for a service that runs already.
    again = (
        f"sudo sh -c \"systemctl reset-failed 'inglenook*'; systemctl restart {PORTS} {SERVICE}\""
    )
    return fix(what, f"nothing listens on {listens} ({why}); `{again}` tries again")


def _memory() -> list[CheckResult]:
    unit = show(SERVICE, "ActiveState", "MemoryCurrent", "MemoryHigh", "MemoryMax")
    if _one(unit["ActiveState"]) != "active":
        return []
    used_bytes = _bytes(unit["MemoryCurrent"])
    if used_bytes is None:
        text = "not counted, as the kernel's memory controller is off, and so without limits"
        return [
            warning("memory", f"{text}; on a Raspberry Pi: cgroup_enable=memory in cmdline.txt")
        ]
    limits = [_bytes(unit[name]) for name in ("MemoryHigh", "MemoryMax")]
    known = [format_bytes(limit) for limit in limits if limit is not None]
    limited = (
        f", held back from {known[0]}, at most {known[1]}" if len(known) == len(limits) else ""
    )
    return [ok("memory", f"{format_bytes(used_bytes)} with the model's file{limited}")]


def _one(values: list[str]) -> str:
    return values[0] if values else ""


def _bytes(values: list[str]) -> int | None:
    """A number of bytes; None for ``[not set]`` and ``infinity``, which some write as 2^64 - 1."""
    text = _one(values)
    return int(text) if text.isdecimal() and int(text) < 1 << 60 else None
