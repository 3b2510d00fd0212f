"""``inglenook doctor``: the checks of this board and its installation."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from inglenook import __version__
from inglenook.cli.cache import on_disk
from inglenook.cli.doctor.board import cores, examine, outlook
from inglenook.cli.doctor.network import disk, mdns, ports
from inglenook.cli.doctor.port_sharing import shared_ports
from inglenook.cli.doctor.result import CheckResult, Verdict, fix, ok, print_section, warning
from inglenook.cli.doctor.sleep import sleep_lines, suspend_test
from inglenook.cli.status import ask_once
from inglenook.cli.template_lines import template_summary
from inglenook.common.errors import StartupError
from inglenook.common.units import format_bytes, mid_sentence
from inglenook.config import Config, load_config
from inglenook.daemon.loading import make_load, model_path, running_as
from inglenook.daemon.statefolder import holder_of
from inglenook.engine.examining import examine_template
from inglenook.engine.prefix_files import folder_bytes
from inglenook.engine.settings import PREFIX_FOLDER
from inglenook.engine.templatefacts import TemplateUnfit
from inglenook.governor.limits import Capacity
from inglenook.models.board_identity import read_board
from inglenook.models.footprint import footprint
from inglenook.models.info import ModelInfo
from inglenook.models.inspect import can_map, inspect_model
from inglenook.models.tuning import Tuning, read_tuning


def doctor(args: argparse.Namespace) -> int:
    """Run all checks; exit code 1 if something is broken."""
    if args.suspend_test:
        suspend_test(args)
        return 0
    config = load_config(args.config, os.environ)
    broken = False
    with _quiet():
        for title, lines in _sections(config):
            print_section(title, lines)
            sys.stdout.flush()
            broken = broken or any(line.verdict is Verdict.FIX for line in lines)
    return 1 if broken else 0


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Turn warnings off: the checks report them."""
    log = logging.getLogger("inglenook")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _sections(config: Config) -> Iterator[tuple[str, list[CheckResult]]]:
    """All checks by section; the slowest come last."""
    root, daemon = config.governor.root, _ask_daemon(config.state_dir)
    state, running = daemon.state, daemon.pid is not None
    engine_pid = _engine_pid(daemon.pid) if daemon.pid else None
    yield "Box", [_daemon(config, daemon), cores(root, engine_pid)]
    readings, lines = examine(root, lambda: engine_pid)
    yield "Sensors and memory", lines
    info, lines = _model(config, daemon)
    tuning = None if info is None else read_tuning(config.state_dir, info, read_board())
    yield "Model", [*lines, _tuning(config, tuning)]
    yield "Limits", [_limits(config, state)]
    if config.governor.enabled:
        yield (
            "What the box would do at other temperatures, or with less memory",
            outlook(readings, _capacity(config, tuning)),
        )
    kept_bytes = sum(folder_bytes(config.state_dir / PREFIX_FOLDER).values())
    yield "Sleep", sleep_lines(config)
    yield "Disk", [*disk(config), ok("cache", on_disk(config, kept_bytes))]
    yield (
        "Network",
        [
            *ports(config, running=running),
            *mdns(config, running=running),
            *shared_ports(config, running=running),
        ],
    )


@dataclass(frozen=True, slots=True)
class _Daemon:
    """The daemon's process and state.

    Attributes:
        pid: Its process id; None if none runs, 0 if that is unknown.
        state: Its ``state``; None if it does not answer.
        complaint: Why a running daemon does not answer; or why it is unknown whether one runs.
    """

    pid: int | None
    state: dict[str, Any] | None = None
    complaint: str = ""


def _ask_daemon(state_dir: Path) -> _Daemon:
    try:
        holder = holder_of(state_dir)
    except StartupError as exc:
        return _Daemon(None, complaint=str(exc))
    if holder is None or not holder.is_daemon:
        return _Daemon(None)
    try:
        return _Daemon(holder.pid, asyncio.run(ask_once(state_dir)))
    except StartupError as exc:
        return _Daemon(holder.pid, complaint=str(exc))


def _daemon(config: Config, daemon: _Daemon) -> CheckResult:
    name = f"{config.name}, inglenook {__version__}"
    if daemon.complaint:
        return fix("daemon", f"{name}: {daemon.complaint}")
    if daemon.pid is None:
        return warning("daemon", f"{name}, is not running; start it with `inglenook up`")
    if daemon.state is not None and (error := daemon.state.get("journal_error")):
        text = f"answers are not stored on disk: {error}; see to {config.state_dir}"
        return fix("daemon", f"{name}, runs, but {text}")
    return ok("daemon", f"{name}, runs with the state in {config.state_dir}")


def _engine_pid(daemon_pid: int) -> int | None:
    try:
        for child in psutil.Process(daemon_pid).children():
            if "inglenook.engine.worker" in child.cmdline():
                return child.pid
    except psutil.Error:
        pass  # it has just ended, or belongs to another user
    return None


def _model(config: Config, daemon: _Daemon) -> tuple[ModelInfo | None, list[CheckResult]]:
    try:
        info = inspect_model(model_path(config))
    except StartupError as exc:
        return None, [fix("model", str(exc))]
    what = f"{info.name}, {info.quantization}, {format_bytes(info.file_bytes)}"
    lines = [ok("model", what), _template(info)]
    if not can_map(info.path):
        text = (
            "its file system cannot map files, so it is read into memory, which takes longer; the"
            " box's own disk can"
        )
        lines.append(warning("model file", text))
    state = daemon.state
    if state is None and daemon.pid is not None:
        lines.append(warning("engine state", "unknown, as the daemon does not answer"))
    elif state is None:
        lines.append(_preflight(config, info))
    elif state["engine"] == "missing":
        lines.append(fix("engine state", state["engine_why"]))
    elif state["engine_why"]:
        lines.append(warning("engine state", f"{state['engine']}: {state['engine_why']}"))
    else:
        lines.append(ok("engine state", state["engine"]))
    return info, lines


def _template(info: ModelInfo) -> CheckResult:
    facts = examine_template(info.path, info.chat_template)
    if isinstance(facts, TemplateUnfit):
        return fix("chat template", f"{facts.why}; choose another model")
    return ok("chat template", template_summary(facts))


def _preflight(config: Config, info: ModelInfo) -> CheckResult:
    # The disk cache does not matter here, and its folder may be missing.
    config = replace(config, cache=replace(config.cache, disk_bytes=0))
    try:
        _name, load, _memory = make_load(config)
    except StartupError as exc:
        return fix("memory for it", str(exc))
    need = footprint(info, running_as(load), load.context_tokens).total_bytes
    return ok(
        "memory for it",
        f"{format_bytes(need)} with {load.context_tokens} tokens of context ({load.kv_type}), which"
        " are free",
    )


def _tuning(config: Config, tuning: Tuning | None) -> CheckResult:
    if config.engine.threads is not None:
        text = f"engine.threads is set to {config.engine.threads}, so what was measured is not used"
        return ok("tuning", text)
    if tuning is None:
        text = "not measured with this model, board and llama.cpp; `inglenook tune` does so"
        return warning("tuning", text)
    parts = f"{tuning.threads} threads, ubatch {tuning.ubatch_tokens}, KV type {tuning.kv_type}"
    return ok("tuning", f"measured: {parts}")


def _limits(config: Config, state: dict[str, Any] | None) -> CheckResult:
    if not config.governor.enabled:
        text = "none, as governor.enabled says: nothing is done before the kernel must"
        return warning("in force", text)
    most = config.engine.max_sequences
    if state is None:
        return ok("in force", f"{most} answers at once when it runs, unless heat or memory forbid")
    text = f"{state['max_active']} of {most} answers at once; {mid_sentence(state['sentence'])}"
    return (ok if state["reason"] == "none" else warning)("in force", text)


def _capacity(config: Config, tuning: Tuning | None) -> Capacity:
    threads = config.engine.threads or (tuning.threads if tuning else read_board().cores)
    # The cache's size does not matter here, only whether there is one.
    ram_bytes = 1 << 30 if config.cache.ram_bytes is None else config.cache.ram_bytes
    return Capacity(
        config.engine.max_sequences,
        threads,
        step_budget_s=config.engine.step_budget_s,
        ram_cache_bytes=ram_bytes,
    )
