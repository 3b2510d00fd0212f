"""Real vocabularies: llama.cpp keeps some without their models, and PyPI has them in its source."""

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
    """Where ``NAME.gguf`` of each is; fetched once, and safe to call from several runs at once."""
    target = _STATE_DIR / _REQUIREMENT.replace("==", "-")
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
    directory.mkdir()
    with tarfile.open(source) as archive:
        for member in archive:
            name = Path(member.name).name
            if name.startswith(_PREFIX) and name.endswith(".gguf"):
                file = archive.extractfile(member)
                assert file is not None
                with file, (directory / name.removeprefix(_PREFIX)).open("wb") as there:
                    shutil.copyfileobj(file, there)
    return directory
