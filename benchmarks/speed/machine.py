"""On what and with what was measured. Kind: hands."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from benchmarks.speed.servers import Setting
from benchmarks.speed.stream import Unmeasurable
from inglenook import __version__
from inglenook.common.units import format_bytes

_ASK_S = 60.0

_OUR_LIBRARY = "import llama_cpp.llama_cpp as l; print(l.llama_print_system_info().decode())"
_THEIR_LIBRARY = "import xllamacpp as l; print(l.get_system_info())"


def describe(setting: Setting) -> dict[str, str]:
    """The board, the kernel and the versions, for a report."""
    memory_bytes = psutil.virtual_memory().total
    found = {
        "board": _board(),
        "cores": f"{os.cpu_count()}, of which {setting.threads} compute",
        "memory": format_bytes(memory_bytes),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load at the start": f"{os.getloadavg()[0]:.2f}",
        "Inglenook": f"{__version__}, llama-cpp-python {version('llama-cpp-python')}",
        "instructions of its library": _compiled_for(_said(sys.executable, "-c", _OUR_LIBRARY)),
    }
    return found | _their_server(setting)


def _their_server(setting: Setting) -> dict[str, str]:
    if setting.llama_server is not None:
        said = _said(str(setting.llama_server), "--version")
        return {"llama-server": said.replace("\n", "; ")}
    try:
        wheel = version("xllamacpp")
    except PackageNotFoundError:
        return {}
    compiled_for = _compiled_for(_said(sys.executable, "-c", _THEIR_LIBRARY))
    return {
        "llama-server": f"of the xllamacpp {wheel} wheel",
        "instructions of llama-server": compiled_for,
    }


def _board() -> str:
    """Its name on ARM boards, else its processor's."""
    try:
        return Path("/proc/device-tree/model").read_text().rstrip("\0\n")
    except OSError:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
        return names[0] if names else platform.machine()


def _compiled_for(system_info: str) -> str:
    """The instruction sets in llama.cpp's own words, such as ``AVX2 = 1``."""
    parts = [part.strip() for part in system_info.rpartition("CPU :")[2].split("|")]
    return " ".join(part.partition(" = ")[0] for part in parts if part.endswith(" = 1"))


def _said(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_ASK_S, check=False)
    except OSError as exc:
        raise Unmeasurable(f"{words[0]} cannot be run: {exc.strerror}") from exc
    return (done.stdout or done.stderr).strip()
