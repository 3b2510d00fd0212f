"""Retained states of models whose states cannot be cut, or that have a window."""

from __future__ import annotations

import random
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import llama_cpp.llama_cpp as lib
import numpy as np
import numpy.typing as npt
import pytest

from inglenook.engine.events import Finish
from inglenook.engine.orders import Prefill
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.kv.pool import Pool
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prefix.store import Store
from inglenook.engine.worker.prompt.state_positions import StatePositions
from tests.engine.worker.toy import write_recurrent_toy_model
from tests.engine.worker.writing import FixedBudget, Writer, follow, order, writing

RandomModel = Callable[[str], Path]

FINGERPRINT = bytes(range(16))
MIB = 2**20
DEADLINE_S = 20.0

#: A running state for all layers, one in three of four, one that is a few numbers; no cells at all.
KEEPING = ["falcon-h1", "qwen35", "lfm2", "recurrent"]


@pytest.fixture(scope="module", params=KEEPING)
def keeping(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Model]:
    """A model that keeps running states."""
    if request.param == "recurrent":
        path = tmp_path_factory.mktemp("toy") / "recurrent.gguf"
        write_recurrent_toy_model(path)
    else:
        path = request.getfixturevalue("random_model")(request.param)
    model = Model(str(path), lambda _fraction: True)
    yield model
    model.close()


@pytest.fixture(scope="module")
def windowed(random_model: RandomModel) -> Iterator[Model]:
    """A model five of whose six layers look back 512 tokens."""
    model = Model(str(random_model("gemma3")), lambda _fraction: True)
    assert (model.window_tokens, model.trimmable) == (512, True)
    yield model
    model.close()


def prompt(tokens: int, seed: int) -> list[int]:
    """Some prompt of that length; bytes, or the first words of a vocabulary."""
    rng = random.Random(seed)
    return [rng.randrange(3, 259) for _ in range(tokens)]


@contextmanager
def stored(
    folder: Path | None = None, *, states: bool = True, ram_bytes: int = 64 * MIB
) -> Iterator[Store]:
    """A store, closed at the end with everything written."""
    store = Store(
        folder=folder,
        fingerprint=FINGERPRINT,
        ram_bytes=ram_bytes,
        disk_bytes=256 * MIB,
        states=states,
    )
    try:
        if folder is not None:
            assert select.select([store], [], [], DEADLINE_S)[0]
            store.poll()
        yield store
    finally:
        store.close(DEADLINE_S)


def ask(
    writer: Writer,
    job: int,
    tokens: list[int],
    *marks: int,
    goes_on: bool = True,
    answer_tokens: int = 6,
) -> int:
    """Have a prompt answered; returns how many of its tokens were found."""
    before = sum(writer.budget.heard)
    writer.submit(order(job, answer_tokens), tokens, StatePositions(marks, goes_on))
    writer.finish()
    ended = writer.answers[job].ended
    assert ended is not None
    # A token alone is computed as if it were written.
    computed = sum(writer.budget.heard) - before
    assert len(tokens) - ended.cached_tokens - computed in range(len(marks) + 2)
    return ended.cached_tokens


@pytest.mark.slow
def test_one_can_go_on_from_each_mark_and_from_nowhere_else(keeping: Model) -> None:
    """Again, with another question, with another prefix; each answer is as if prefilled anew."""
    first = prompt(300, 1)
    asked = [
        (first, 299),
        ([*first[:250], *prompt(40, 2)], 150),
        ([*first[:150], *prompt(60, 3)], 150),
        ([*first[:149], *prompt(60, 4)], 0),
    ]
    with stored() as store, writing(keeping, store=store) as writer:
        assert ask(writer, 0, first, 150, 299) == 0
        for job, (tokens, found) in enumerate(asked, start=1):
            assert ask(writer, job, tokens) == found
            assert follow(keeping, tokens, writer.answers[job].tokens)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen35", "lfm2", "nemotron_h", "gemma3", "gemma4", "gpt-oss"])
def test_what_comes_back_is_to_the_bit_what_was_saved(
    random_model: RandomModel, family: str
) -> None:
    """Cells and states: the scores after them are the same, not nearly."""
    model = Model(str(random_model(family)), lambda _fraction: True)
    context = Context(model, cells=2048, kv_type="f16", sequences=4, threads=1)
    tokens = prompt(300, 1)
    states = not model.trimmable
    with stored(states=states) as store:
        pool = Pool(context, store, durable=False)
        number = pool.admit(tokens, b"", spare_cells=0)
        assert number is not None
        compute(pool, context, number, tokens[:280])
        pool.transfer.save_state(number)
        before = compute(pool, context, number, tokens)
        pool.evict(number)
        fetch = store.fetch(tokens)
        again = pool.admit(tokens, b"", spare_cells=0, state_at=fetch.state_at)
        assert again is not None
        for start, stop, payload in fetch.blocks:
            assert pool.transfer.insert(
                again, (start, stop), payload, pool.make_room, state=stop == fetch.state_at
            )
        assert pool.length(again) == 280

        assert np.array_equal(compute(pool, context, again, tokens), before)
    context.close()
    model.close()


def compute(
    pool: Pool, context: Context, number: int, tokens: list[int]
) -> npt.NDArray[np.float32]:
    """Have a sequence computed so far, in one piece; returns the scores of what may follow."""
    have = pool.length(number)
    context.clear_batch()
    index = context.add(number, have, tokens[have:], output="last")
    assert context.decode() == 0
    pool.grew(number, len(tokens) - have)
    found = lib.llama_get_logits_ith(context.handle, index)
    return np.ctypeslib.as_array(found, shape=(context._vocab_tokens,)).copy()


@pytest.mark.parametrize("mark", [64, 65, 66])
def test_a_mark_may_lie_a_token_behind_the_end_of_a_step(keeping: Model, mark: int) -> None:
    """That token is computed alone, as if it were written, and nothing is written yet."""
    first = prompt(mark + 1, 1)
    with stored() as store, writing(keeping, store=store, budget=FixedBudget(64)) as writer:
        assert ask(writer, 0, first, mark) == 0
        assert ask(writer, 1, first) == mark
        for job in (0, 1):
            assert follow(keeping, first, writer.answers[job].tokens)


@pytest.mark.slow
def test_the_next_turn_begins_at_the_end_of_the_answer(keeping: Model) -> None:
    """Or, if that is left out of it, where the prompt was last the same."""
    first = prompt(200, 1)
    for goes_on in (True, False):
        with stored() as store, writing(keeping, store=store) as writer:
            ask(writer, 0, first, 199, goes_on=goes_on)
            second = [*first, *writer.answers[0].tokens, *prompt(30, 2)]

            assert ask(writer, 1, second) == (205 if goes_on else 199)
            assert follow(keeping, second, writer.answers[1].tokens)


def test_an_end_that_begins_nothing_is_not_kept(keeping: Model, tmp_path: Path) -> None:
    """Neither in the pool nor in memory nor on the disk: only the mark's."""
    with stored(tmp_path) as store, writing(keeping, store=store, durable=True) as writer:
        ask(writer, 0, prompt(100, 1), 99, goes_on=False)

        assert writer.batcher.pool.used_cells == 0
        assert not writer.batcher.pool.transfer.unsaved
        assert store.blocks == 1
    assert len(list(tmp_path.rglob("*.kv"))) == 1


def test_thoughts_are_an_end_that_begins_nothing(keeping: Model) -> None:
    """The template leaves them out of the next turn, wherever they were begun."""
    if keeping.piece(3 + ord("<")) != b"<":
        pytest.skip("has no token for each byte")
    produced = [3 + byte for byte in b"<think>well"]
    with stored() as store, writing(keeping, store=store) as writer:
        writer.submit(order(0, 20, produced=produced), prompt(100, 1), StatePositions((99,)))
        writer.finish()

        assert writer.batcher.pool.used_cells == 0


@pytest.mark.slow
def test_states_survive_the_engine(keeping: Model, tmp_path: Path) -> None:
    """From the disk, each of them, as from memory."""
    first = prompt(300, 1)
    other = [*first[:150], *prompt(60, 3)]
    with stored(tmp_path) as store, writing(keeping, store=store, durable=True) as writer:
        ask(writer, 0, first, 150, 299, goes_on=False)
    with stored(tmp_path) as store, writing(keeping, store=store, durable=True) as writer:
        assert ask(writer, 1, other) == 150
        assert ask(writer, 2, first) == 299
        for job, tokens in ((1, other), (2, first)):
            assert follow(keeping, tokens, writer.answers[job].tokens)


def test_an_answer_that_is_interrupted_goes_on_in_the_next_engine(
    keeping: Model, tmp_path: Path
) -> None:
    """Though no other prompt can begin with it, as the next turn leaves its thoughts out."""
    first = prompt(100, 1)
    with stored(tmp_path) as store, writing(keeping, store=store, durable=True) as writer:
        writer.submit(order(0, 60), first, StatePositions((99,), goes_on=False))
        while len(writer.answers[0].tokens) < 30:
            writer.step()
        produced = writer.answers[0].tokens
        writer.batcher.close()
        while writer.batcher.pool.transfer.unsaved:
            writer.batcher.pool.transfer.save_block()
    with stored(tmp_path) as store, writing(keeping, store=store, durable=True) as writer:
        writer.submit(order(1, 60, produced=produced), first, StatePositions((99,), goes_on=False))
        writer.finish()

        assert sum(writer.budget.heard) <= 2
        assert len(writer.answers[1].tokens) == 30
        assert follow(keeping, first, [*produced, *writer.answers[1].tokens])


def test_what_is_read_ahead_leaves_the_state_before_the_question(keeping: Model) -> None:
    """The question is found as far as it was prefilled; in other words, its prefix."""
    first = prompt(300, 1)
    with stored() as store, writing(keeping, store=store) as writer:
        writer.batcher.prefill(Prefill(0, ()), first[:280], 300, marks=StatePositions((150,)))
        writer.finish()
        assert writer.read[0].cached_tokens == 280
        assert ask(writer, 1, first, 150, 299) == 280
        assert ask(writer, 2, [*first[:150], *prompt(60, 3)]) == 150
        assert ask(writer, 3, first) == 299


@pytest.mark.slow
def test_of_four_at_once_with_one_beginning_it_is_read_once(keeping: Model) -> None:
    """They wait for the mark that the first will come by, and not for what they cannot share."""
    system = prompt(300, 1)
    asked = [[*system, *prompt(30, 10 + job)] for job in range(4)]
    with stored() as store, writing(keeping, cells=2048, store=store) as writer:
        for job, tokens in enumerate(asked):
            writer.submit(order(job, 10), tokens, StatePositions((300,)))
        answers = writer.finish()

        assert sum(writer.budget.heard) == 300 + 4 * 30
    for job, tokens in enumerate(asked):
        assert follow(keeping, tokens, answers[job].tokens)


@pytest.mark.slow
def test_cells_are_shared_where_states_are_not(random_model: RandomModel) -> None:
    """Four phones with one system message: the pool has its cells once."""
    model = Model(str(random_model("falcon-h1")), lambda _fraction: True)
    system = prompt(300, 1)
    with stored() as store, writing(model, cells=2048, store=store) as writer:
        ask(writer, 9, [*system, *prompt(30, 9)], 300, goes_on=False)
        for job in range(4):
            writer.submit(order(job, 40), [*system, *prompt(30, 10 + job)])
        while not all(writer.answers[job].tokens for job in range(4)):
            writer.step()

        assert writer.batcher.pool.used_cells < 300 + 4 * 80
        writer.finish()
    for job in range(4):
        assert follow(model, [*system, *prompt(30, 10 + job)], writer.answers[job].tokens)
    model.close()


@pytest.mark.slow
def test_an_answer_that_was_parked_is_not_read_again(keeping: Model) -> None:
    """Two phones in a small pool: its state waits in memory until there is room."""
    if not keeping.running_states or keeping.piece(3) == b"\0":
        pytest.skip("has no cells that could run out")
    asked = {job: prompt(200, job) for job in range(2)}
    budget = FixedBudget(64)
    with stored() as store, writing(keeping, cells=512, store=store, budget=budget) as writer:
        for job, tokens in asked.items():
            writer.submit(order(job, 100), tokens, StatePositions((199,)))
        answers = writer.finish()
        computed = sum(budget.heard)
    assert computed <= 400 + 64
    for job, tokens in asked.items():
        assert len(answers[job].tokens) == 100
        assert follow(keeping, tokens, answers[job].tokens)


@pytest.mark.slow
def test_nothing_is_lost_in_three_hundred_requests(random_model: RandomModel) -> None:
    """Cancelled, parked, sharing or not, with little memory: all end, and each is right."""
    rng = random.Random(7)
    model = Model(str(random_model("lfm2")), lambda _fraction: True)
    asked: dict[int, list[int]] = {}
    with stored(ram_bytes=MIB // 2) as store, writing(model, cells=768, store=store) as writer:
        systems = [prompt(60, seed) for seed in range(3)]
        for job in range(300):
            asked[job] = [*rng.choice(systems), *prompt(rng.randrange(20, 80), rng.randrange(40))]
            marks = StatePositions((60, len(asked[job]) - 1), goes_on=rng.random() < 0.5)
            writer.submit(order(job, rng.randrange(1, 24)), asked[job], marks)
            for _ in range(rng.randrange(6)):
                writer.step()
            if rng.random() < 0.2:
                writer.batcher.cancel(rng.randrange(max(job - 5, 0), job + 1))
        answers = writer.finish()
        ends = [answer.ended.finish for answer in answers.values() if answer.ended]
        assert ends.count(Finish.CANCELLED) > 15
        assert ends.count(Finish.LENGTH) + ends.count(Finish.CANCELLED) == 300
        found = [answer.ended.cached_tokens for answer in answers.values() if answer.ended]
        assert sum(tokens >= 60 for tokens in found) > 150
        while writer.batcher.pool.make_room():
            pass
        assert writer.batcher.pool.used_cells == 0
    for job in range(0, 300, 10):
        assert follow(model, asked[job], answers[job].tokens)
    model.close()


@pytest.mark.slow
def test_a_damaged_state_costs_only_time(keeping: Model, tmp_path: Path) -> None:
    """What leads to it is there, and nothing can be computed with that alone."""
    first = prompt(300, 1)
    with stored(tmp_path) as store, writing(keeping, store=store, durable=True) as writer:
        ask(writer, 0, first, 299, goes_on=False)
    for file in tmp_path.rglob("*.kv"):
        data = bytearray(file.read_bytes())
        data[-20] ^= 1
        file.write_bytes(data)
        break
    with stored(tmp_path, ram_bytes=0) as store, writing(keeping, store=store) as writer:
        assert ask(writer, 1, first) == 0
        assert follow(keeping, first, writer.answers[1].tokens)


@pytest.mark.slow
def test_a_window_is_cut_like_any_other_cells(windowed: Model, tmp_path: Path) -> None:
    """Again, edited, the next turn; from the pool, and from the disk after an engine's death."""
    first = prompt(900, 1)
    edited = [*first[:700], *prompt(50, 2)]
    with (
        stored(tmp_path, states=False) as store,
        writing(windowed, cells=4096, store=store, durable=True) as writer,
    ):
        ask(writer, 0, first)
        assert ask(writer, 1, edited) == 700
        assert ask(writer, 2, first) == 899
        while writer.batcher.pool.transfer.unsaved:
            writer.batcher.pool.transfer.save_block()
        answers = [
            (tokens, writer.answers[job].tokens) for job, tokens in ((1, edited), (2, first))
        ]
    with (
        stored(tmp_path, states=False) as store,
        writing(windowed, cells=4096, store=store, durable=True) as writer,
    ):
        assert ask(writer, 3, edited) == 749
        assert ask(writer, 4, first) == 899
        answers += [(edited, writer.answers[3].tokens), (first, writer.answers[4].tokens)]
    assert all(follow(windowed, tokens, answer) for tokens, answer in answers)


def crowded(writer: Writer) -> list[int]:
    """Have the library take cells of a sequence's window though others are free.

    It takes what the end of a sequence no longer sees before it looks for empty cells.
    """
    kept = prompt(1600, 2)
    ask(writer, 1, prompt(1500, 1))
    ask(writer, 2, kept)
    pool = writer.batcher.pool
    for row in [row for row in pool.table if row.tokens[:9] == prompt(1500, 1)[:9]]:
        pool.evict(row.number)
    assert pool.free_cells > 2400
    ask(writer, 3, prompt(2000, 3))
    return kept


@pytest.mark.slow
def test_nothing_is_computed_on_cells_that_are_gone(windowed: Model) -> None:
    """A retained sequence that lost cells can be continued at its end; earlier, it is prefilled."""
    with writing(windowed, cells=4096) as writer:
        kept = crowded(writer)
        [number] = [row.number for row in writer.batcher.pool.table if row.tokens[:9] == kept[:9]]
        first = lib.llama_memory_seq_pos_min(writer.context._memory, number)
        assert 300 < first < 1605 - 512
        gone = first + 100
        later = [*kept, *writer.answers[2].tokens[:5], *prompt(20, 6)]
        earlier = [*kept[:gone], *prompt(20, 5)]

        assert ask(writer, 5, later) == 1605
        assert ask(writer, 6, earlier) < 16
        for job, tokens in ((5, later), (6, earlier)):
            assert follow(windowed, tokens, writer.answers[job].tokens)


@pytest.mark.slow
def test_cells_that_are_gone_are_not_stored(windowed: Model) -> None:
    """Nor are those after them; they are prefilled again, correctly."""
    with stored(states=False) as store, writing(windowed, cells=4096, store=store) as writer:
        kept = crowded(writer)
        while writer.batcher.pool.make_room():
            pass
        found = store.match(kept[:-1])
        assert ask(writer, 7, kept) == found
        assert follow(windowed, kept, writer.answers[7].tokens)
