"""Files installed as root: written, recorded in a ledger, and removed exactly."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from inglenook.cli.service.files import CONFIG_DIR, File
from inglenook.common.errors import StartupError
from inglenook.common.wholefile import write_whole

_LEDGER = CONFIG_DIR / "installed.json"


class InstalledFiles:
    """A system's files, and the ledger of ours; at ``/``, or elsewhere in tests."""

    def __init__(self, root: Path) -> None:
        """Read the ledger of earlier installs.

        Raises:
            StartupError: If it cannot be read.
        """
        self.root = root
        try:
            text = self.at(_LEDGER).read_text()
            self._digests: dict[str, str] = dict(json.loads(text)["files"])
        except FileNotFoundError:
            self._digests = {}
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise StartupError(f"{self.at(_LEDGER)} cannot be read; delete it if need be") from exc

    def at(self, path: Path) -> Path:
        """The path of an absolute path in this system."""
        return self.root / path.relative_to("/")

    def put(self, files: Sequence[File]) -> Iterator[str]:
        """Write files, remove earlier ones that are not among them; yield log lines.

        A file that the owner changed, or that is not ours, is first copied as ``.bak``.

        Raises:
            StartupError: If one cannot be written.
        """
        wanted = {str(file.path) for file in files}
        for gone in [path for path in self._digests if path not in wanted]:
            yield from self._remove(Path(gone))
            self._remember(gone, None)
        for file in files:
            yield from self._write(file)
            self._remember(str(file.path), _digest(file.text.encode()))

    def take_away(self) -> Iterator[str]:
        """Remove everything that `put` has written; yield log lines.

        Raises:
            StartupError: If one cannot be removed.
        """
        for path in list(self._digests):
            yield from self._remove(Path(path))
            self._remember(path, None)
        self.at(_LEDGER).unlink(missing_ok=True)

    def create(self, file: File) -> Iterator[str]:
        """Write a file that is its owner's from then on, if it is missing; yield log lines.

        Raises:
            StartupError: If it cannot be written.
        """
        if not self.at(file.path).exists():
            with _as_startup_error(file.path):
                _replace(self.at(file.path), file.text.encode())
            yield f"wrote {file.path}"

    def amend(self, file: File) -> Iterator[str]:
        """Write required changes into a file that is its owner's, and copy the old one as ``.bak``.

        Raises:
            StartupError: If it cannot be written.
        """
        with _as_startup_error(file.path):
            yield from self._keep_if_changed(file.path, self.at(file.path).read_bytes())
            _replace(self.at(file.path), file.text.encode())
        yield f"changed {file.path}"

    def _write(self, file: File) -> Iterator[str]:
        target, data = self.at(file.path), file.text.encode()
        with _as_startup_error(file.path):
            before = target.read_bytes() if target.exists() else None
            if before == data:
                return
            if before is not None:
                yield from self._keep_if_changed(file.path, before)
            _replace(target, data)
        yield f"wrote {file.path}"

    def _remove(self, path: Path) -> Iterator[str]:
        target = self.at(path)
        with _as_startup_error(path):
            if target.exists():
                yield from self._keep_if_changed(path, target.read_bytes())
                target.unlink()
                yield f"removed {path}"
            # The folders of drop-ins are ours; empty ones are removed.
            if target.parent.name.endswith(".d") and target.parent.name.startswith("inglenook"):
                with contextlib.suppress(OSError):
                    target.parent.rmdir()

    def _keep_if_changed(self, path: Path, before: bytes) -> Iterator[str]:
        if _digest(before) == self._digests.get(str(path)):
            return
        names = itertools.chain([".bak"], (f".bak{number}" for number in itertools.count(2)))
        copy = next(copy for name in names if not self.at(copy := Path(f"{path}{name}")).exists())
        _replace(self.at(copy), before)
        yield f"kept {path}, which was not as we had written it, as {copy}"

    def _remember(self, path: str, digest: str | None) -> None:
        if digest is None:
            del self._digests[path]
        else:
            self._digests[path] = digest
        with _as_startup_error(_LEDGER):
            text = json.dumps({"files": self._digests}, indent=2)
            _replace(self.at(_LEDGER), text.encode() + b"\n")


@contextlib.contextmanager
def acting_as(user_id: int, group_id: int) -> Iterator[None]:
    """Run the block with the rights of that user.

    Root must not write into a folder that another user controls, because of links there.
    """
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(group_id)
    os.seteuid(user_id)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@contextlib.contextmanager
def _as_startup_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StartupError(f"{path} cannot be changed: {exc.strerror}") from exc


def _replace(target: Path, data: bytes) -> None:
    """Write a file whole or not at all, for everybody to read."""
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_whole(target, data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
