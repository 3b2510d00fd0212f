"""What a model takes in memory, held against what llama.cpp itself says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from inglenook.common.sequences import pool_sequences
from inglenook.models.footprint import Running, compute_bytes, footprint
from inglenook.models.info import ModelInfo
from inglenook.models.loading import LoadSettings, plan_load
from inglenook.models.preflight import Memory, NoRoomError
from tests.models.facts import INFO
from tests.parts.library_memory import Taken, Way, memory_taken
from tests.parts.shapes import SHAPES, Shape, described

MIB, GIB = 2**20, 2**30

#: The library's own log lines have two digits behind the point.
ROUNDED_BYTES = MIB // 20

#: What a process takes that has loaded nothing, where that comes in huge pages; and the library's
#: tables for each token of a vocabulary with as many merges; see test_memory.py.
PROGRAM_BYTES, TOKEN_BYTES = 57 * MIB, 280

#: Families for whose passes the library plans with 20,000 operations, and what that takes.
DELTA, NODES_BYTES = ("qwen35", "qwen3next", "nanbeige"), 16 * MIB

WAYS = (
    (8192, Running(2)),
    (8192, Running(2, kv_type="q8_0")),
    (8192, Running(2, ubatch_tokens=128, speculate=True)),
    (2048, Running(1, ubatch_tokens=128, flash_attention=False)),
)

#: A board of 4 GiB, with what a small system leaves.
BOARD = Memory(int(3.4 * GIB), 4 * GIB)


@dataclass(frozen=True)
class Run:
    """One model run in one way, as we count it and as the library says."""

    name: str
    info: ModelInfo
    cells: int
    running: Running
    taken: Taken

    @property
    def need_bytes(self) -> int:
        """All of it, by the library's own figures."""
        taken = self.taken
        buffers = taken.kv_bytes + taken.states_bytes + taken.compute_bytes + taken.output_bytes
        process = PROGRAM_BYTES + self.info.vocab_size * TOKEN_BYTES
        if self.info.architecture in DELTA:
            process += NODES_BYTES
        return self.info.weights_bytes + buffers + process


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Each published shape in each of the `WAYS`."""
    asked = [(shape, cells, running) for shape in SHAPES for cells, running in WAYS]
    return list(_run(tmp_path_factory.mktemp("shapes"), asked))


@pytest.mark.timeout(600)
def test_pool_and_states_are_just_what_the_library_takes(runs: list[Run]) -> None:
    """Of every family: layers without attention, latent rows, rows that layers share, states."""
    for run in runs:
        need = footprint(run.info, run.running, run.cells)
        what = (run.name, run.running)
        assert need.kv_bytes == pytest.approx(run.taken.kv_bytes, abs=ROUNDED_BYTES), what
        assert need.states_bytes == pytest.approx(run.taken.states_bytes, abs=ROUNDED_BYTES), what


def test_working_memory_is_never_less_than_the_library_takes(runs: list[Run]) -> None:
    """And with its margin not much more."""
    for run in runs:
        estimate = compute_bytes(run.info, run.running, run.cells) * 9 // 8
        ratio = estimate / (run.taken.compute_bytes + run.taken.output_bytes)
        assert 1.0 <= ratio <= 1.45, (run.name, run.running, ratio)


def test_the_whole_is_never_less_and_at_most_a_quarter_more(runs: list[Run]) -> None:
    """Of every family, at the sizes in which it is published."""
    for run in runs:
        ratio = footprint(run.info, run.running, run.cells).total_bytes / run.need_bytes
        assert 1.0 <= ratio <= 1.25, (run.name, run.running, ratio)


def test_the_documented_figures_are_these(runs: list[Run]) -> None:
    """A row of each shape, by name: what is said, and its ratio to the need."""
    text = (Path(__file__).parents[2] / "docs/architectures.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"^\| ([^|]+) \| \S+ \| (\d+ MiB \| [\d.]+) \|$", text, re.MULTILINE))
    for run in runs[:: len(WAYS)]:
        said_bytes = footprint(run.info, run.running, run.cells).total_bytes
        said, ratio = found.pop(run.name).split(" | ")
        assert said == f"{said_bytes / MIB:.0f} MiB", run.name
        assert float(ratio) == pytest.approx(said_bytes / run.need_bytes, abs=0.02), run.name
    assert found == {}


@pytest.mark.slow
def test_nothing_is_said_to_fit_that_does_not(tmp_path: Path) -> None:
    """On a board of 4 GiB what fits really fits, states included, with as many answers as do."""
    planned, refused = [], []
    for shape in SHAPES:
        info = described(shape)
        try:
            plan = plan_load(info, LoadSettings(8), None, BOARD)
        except NoRoomError:
            refused.append(shape.name)
            continue
        planned.append((shape, plan.context_tokens, Running(plan.sequences)))
        assert plan.sequences == 8 or info.state_bytes > 0, shape.name

    runs = {run.name: run for run in _run(tmp_path, planned)}
    for run in runs.values():
        assert run.need_bytes <= BOARD.budget_bytes, run.name
    answers = {name: run.running.sequences for name, run in runs.items()}
    assert 1 <= answers["Qwen3.5-4B"] < 8
    assert 1 <= answers["Granite-4.0-H-Micro"] < 8
    assert answers["Granite-4.0-H-350M"] == answers["LFM2-1.2B"] == answers["Qwen3.5-0.8B"] == 8
    assert "Nemotron-Nano-9B-v2" in refused


def test_everything_is_in_the_total() -> None:
    """Weights, pool, states, compute buffers with their margin, and the program."""
    need = footprint(INFO, Running(8), 1024)

    assert need.weights_bytes == 100 * MIB
    assert need.kv_bytes == 32 * MIB
    assert need.states_bytes == 0
    assert need.work_bytes > 64 * MIB + compute_bytes(INFO, Running(8), 1024)
    assert need.total_bytes == need.weights_bytes + need.kv_bytes + need.work_bytes
    recurrent = replace(INFO, layer_state=replace(INFO.layer_state, state_numbers=MIB))
    more = footprint(recurrent, Running(8), 1024)
    assert more.states_bytes == 9 * 4 * MIB
    assert more.total_bytes >= need.total_bytes + more.states_bytes - need.work_bytes


@pytest.mark.parametrize("flash_attention", [True, False])
def test_a_larger_pool_never_takes_less(*, flash_attention: bool) -> None:
    """The search for the largest that fits depends on it."""
    running = Running(8, flash_attention=flash_attention)
    totals = [footprint(INFO, running, cells).total_bytes for cells in range(0, 33_024, 256)]

    assert totals == sorted(totals)
    assert len(set(totals)) == len(totals)


def test_experts_make_the_compute_buffer_wider() -> None:
    """What passes between the halves of a layer, for all experts of a token."""
    wide = replace(INFO, feed_forward_length=8 * INFO.feed_forward_length)

    assert compute_bytes(wide, Running(8), 1024) > 3 * compute_bytes(INFO, Running(8), 1024)


def _run(folder: Path, asked: list[tuple[Shape, int, Running]]) -> Iterator[Run]:
    infos = [described(shape) for shape, _cells, _running in asked]
    ways = [
        (shape, [_way(info, cells, running)])
        for info, (shape, cells, running) in zip(infos, asked, strict=True)
    ]
    answers = memory_taken(folder, ways)
    for info, (shape, cells, running), [said] in zip(infos, asked, answers, strict=True):
        # The library takes the room for the scores of guesses when they first come.
        scores_bytes = running.sequences * 8 * info.vocab_size * 4 if running.speculate else 0
        taken = replace(said, output_bytes=max(said.output_bytes, scores_bytes))
        yield Run(shape.name, info, cells, running, taken)


def _way(info: ModelInfo, cells: int, running: Running) -> Way:
    """As the engine makes its context."""
    return Way(
        n_ctx=cells,
        n_seq_max=pool_sequences(running.sequences, running_states=info.state_bytes > 0),
        n_ubatch=running.ubatch_tokens,
        kv_type=running.kv_type,
        flash_attention=running.flash_attention,
        n_outputs_max=running.sequences * 8 if running.speculate else 0,
    )
