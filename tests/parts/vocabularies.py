"""Real vocabularies and chat templates: llama.cpp keeps some, and PyPI has them in its source."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

#: The package whose source has them, as it is installed here.
_REQUIREMENT = f"llama-cpp-python=={importlib.metadata.version('llama-cpp-python')}"
_STATE_DIR = Path(__file__).parents[2] / ".state"
_PREFIX = "ggml-vocab-"


def vocabulary_folder() -> Path:
    """Where ``NAME.gguf`` and ``templates/NAME.jinja`` of each are.

    Fetched once; safe to call from several test runs at once.
    """
    target = _STATE_DIR / f"vocabularies-{_REQUIREMENT.replace('==', '-')}"
    if not target.exists():
        _STATE_DIR.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_STATE_DIR) as directory:
            made = _unpack(_download(Path(directory)), Path(directory, "vocabularies"))
            try:
                made.rename(target)
            except OSError:
                # Another run was quicker.
                assert target.exists()
    return target


def _download(directory: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
    which = ("--no-deps", "--no-binary=llama-cpp-python", "--dest", str(directory), _REQUIREMENT)
    subprocess.run((*pip, *which), check=True, timeout=1800)
    [source] = directory.glob("*.tar.gz")
    return source


def _unpack(source: Path, directory: Path) -> Path:
    (directory / "templates").mkdir(parents=True)
    with tarfile.open(source) as archive:
        for member in archive:
            name = Path(member.name)
            if name.suffix == ".gguf" and name.name.startswith(_PREFIX):
                target = directory / name.name.removeprefix(_PREFIX)
            elif name.suffix == ".jinja" and name.parts[-3:-1] == ("models", "templates"):
                target = directory / "templates" / name.name
            else:
                continue
            file = archive.extractfile(member)
            assert file is not None
            with file, target.open("wb") as there:
                shutil.copyfileobj(file, there)
    return directory
