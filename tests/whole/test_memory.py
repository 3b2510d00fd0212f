"""A box without room for its model says so in numbers, and takes it in when there is room."""

from __future__ import annotations

from pathlib import Path

from tests.parts.box import made_box
from tests.parts.gguf_files import small_model
from tests.parts.phone import connected, long_chat


def write_meminfo(root: Path, available_mib: int) -> None:
    (root / "proc").mkdir(parents=True, exist_ok=True)
    (root / "proc" / "meminfo").write_text(
        f"MemTotal: {4096 * 1024} kB\nMemAvailable: {available_mib * 1024} kB\n"
    )


async def test_a_model_that_does_not_fit_is_loaded_once_it_does(tmp_path: Path) -> None:
    """Before anything is allocated, so that nobody has to be killed; nobody restarts anything."""
    path, board = tmp_path / "model.gguf", tmp_path / "board"
    path.write_bytes(small_model())
    write_meminfo(board, 250)
    with made_box(path, {"governor": {"root": str(board)}}) as box:
        box.start()
        refusal = box.wait_log(r"the model waits: this model needs .*")[0]
        assert "250.0 MiB are free, of which 204.8 MiB stay for the system" in refusal
        assert "choose a smaller model" in refusal
        box.wait_log("nothing is limited, since governor.enabled is false")
        assert box.http("GET", "/healthz").json()["reason"] == "unloaded"
        async with connected(box.url, box.pair("Ben")) as phone:
            refused = await phone.ask(long_chat(2))
        assert refused.error is not None
        assert refused.error["code"] == "low_memory"

        write_meminfo(board, 2048)
        box.wait_ready()
        async with connected(box.url, box.pair("Ada")) as phone:
            answer = await phone.ask(long_chat(2))
        assert answer.text
        box.stop()
