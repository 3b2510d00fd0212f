"""Builds llama.cpp's own server out of the sources that our library was built from.

Run as ``python -m benchmarks.llama_server FOLDER``. The wheel that the benchmarks take otherwise is
compiled for any processor of its kind; this one, like our library, for this processor, which is
what makes a comparison fair. It takes some 10 minutes on two cores, and needs a C++ compiler and
CMake. Kind: hands.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

#: As llama-cpp-python compiles it, less what a benchmark has no use for.
_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
)


def main() -> int:
    """Build it, and print its path."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.llama_server")
    parser.add_argument("folder", type=Path, help="where to build, some 600 MiB")
    folder: Path = parser.parse_args().folder
    try:
        print(build(folder))
    except FileNotFoundError as exc:
        print(f"{exc.filename} is missing: sudo apt install build-essential cmake", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as exc:
        print(f"{exc.cmd[0]} failed; its words stand above", file=sys.stderr)
        return 1
    return 0


def build(folder: Path) -> Path:
    """Fetch the sources, compile them and return the server's path.

    Raises:
        FileNotFoundError: If there is no CMake.
        subprocess.CalledProcessError: If a step fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    requirement = f"llama-cpp-python=={version('llama-cpp-python')}"
    options = ["--no-deps", "--no-binary", "llama-cpp-python", "--dest", str(folder)]
    _run(sys.executable, "-m", "pip", "download", *options, requirement)
    with tarfile.open(next(folder.glob("llama_cpp_python-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    source = next(folder.glob("llama_cpp_python-*/vendor/llama.cpp"))
    build_dir = folder / "build"
    _run("cmake", "-S", str(source), "-B", str(build_dir), *_OPTIONS)
    jobs = str(os.cpu_count() or 1)
    _run("cmake", "--build", str(build_dir), "--target", "llama-server", "--parallel", jobs)
    return build_dir / "bin" / "llama-server"


def _run(*words: str) -> None:
    # What they say is for whoever waits; on stdout there is the path alone.
    subprocess.run(words, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
