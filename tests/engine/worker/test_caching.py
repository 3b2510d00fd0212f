"""Prefilled tokens are not prefilled again: from the pool, from RAM, from the disk."""

from __future__ import annotations

import random
import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from inglenook.engine.events import Finish
from inglenook.engine.orders import Prefill
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prefix.fetch import Fetch
from inglenook.engine.worker.prefix.store import Store
from tests.engine.worker.toy import FIRST_BYTE, VOCAB_TOKENS
from tests.engine.worker.writing import FixedBudget, Writer, follow, order, writing

FINGERPRINT = bytes(range(16))
MIB = 2**20
DEADLINE_S = 20.0


def prompt(tokens: int, seed: int) -> list[int]:
    """Some prompt of that length."""
    rng = random.Random(seed)
    return [rng.randrange(FIRST_BYTE, VOCAB_TOKENS) for _ in range(tokens)]


@contextmanager
def stored(
    folder: Path | None = None,
    *,
    ram_bytes: int = 64 * MIB,
    disk_bytes: int = 256 * MIB,
    states: bool = False,
) -> Iterator[Store]:
    """A store, closed at the end with everything written."""
    store = Store(
        folder=folder,
        fingerprint=FINGERPRINT,
        ram_bytes=ram_bytes,
        disk_bytes=disk_bytes,
        states=states,
    )
    try:
        yield store
    finally:
        store.close(DEADLINE_S)


def ask(writer: Writer, job: int, tokens: list[int], answer_tokens: int = 8) -> tuple[int, int]:
    """Have a prompt answered to its end; returns how many tokens of it were found, and computed."""
    budget = writer.budget
    before = sum(budget.heard)
    writer.submit(order(job, answer_tokens), tokens)
    writer.finish()
    ended = writer.answers[job].ended
    assert ended is not None
    return ended.cached_tokens, sum(budget.heard) - before


def ask_and_save(writer: Writer, prompts: Sequence[list[int]]) -> None:
    """Have each answered, then a pause in which all retained sequences are saved."""
    for job, tokens in enumerate(prompts):
        ask(writer, job, tokens)
    while writer.batcher.pool.transfer.unsaved:
        writer.batcher.pool.transfer.save_block()


def conversation(writer: Writer, job: int, tokens: list[int]) -> list[int]:
    """What a phone sends after a job: the prompt, its answer, another question."""
    return [*tokens, *writer.answers[job].tokens, *prompt(20, job + 1000)]


def empty_pool(writer: Writer) -> None:
    """Have all retained sequences evicted, by the pressure of others."""
    while writer.batcher.pool.make_room():
        pass


def test_the_second_turn_computes_only_what_is_new(toy: Model) -> None:
    """All but the answer's last token is there: that was sampled, but never computed."""
    first = prompt(300, 1)
    with writing(toy) as writer:
        assert ask(writer, 1, first) == (0, 300)
        second = conversation(writer, 1, first)
        found, computed = ask(writer, 2, second)

    assert found == 300 + 7
    assert computed == len(second) - found
    assert follow(toy, second, writer.answers[2].tokens)


def test_what_is_only_kept_has_half_of_the_pool(toy: Model) -> None:
    """The rest is in the store, where it is found; without a store all of it stays."""
    asked = [prompt(300, seed) for seed in range(6)]
    with stored() as store, writing(toy, cells=2048, store=store) as writer:
        for job, tokens in enumerate(asked):
            ask(writer, job, tokens)

        assert writer.batcher.pool.used_cells <= 1024
        assert [ask(writer, 10 + job, tokens)[0] for job, tokens in enumerate(asked)] == [299] * 6
    with writing(toy, cells=2048) as writer:
        for job, tokens in enumerate(asked):
            ask(writer, job, tokens)

        assert writer.batcher.pool.used_cells > 6 * 300


@pytest.mark.parametrize("size", [300, 100])
def test_what_the_store_has_too_makes_room_before_it_is_wanted(toy: Model, size: int) -> None:
    """Attention would walk it for all. Speculative prefills are nowhere else, and stay."""
    asked = [prompt(size, seed) for seed in range(2)]
    typed = prompt(300, 9)
    with stored() as store, writing(toy, cells=4096, store=store, durable=True) as writer:
        pool = writer.batcher.pool
        for job, tokens in enumerate(asked):
            ask(writer, job, tokens)
        writer.batcher.prefill(Prefill(5, ()), typed, len(typed))
        writer.finish()
        while pool.transfer.unsaved:
            pool.transfer.save_block()
        kept_cells = pool.used_cells
        ask(writer, 6, prompt(30, 8))
        left_cells = pool.used_cells
        found = [ask(writer, 10 + job, tokens)[0] for job, tokens in enumerate(asked)]

        assert kept_cells > 300 + 2 * size
        assert left_cells < 400
        assert found == [size - 1] * 2
        assert ask(writer, 20, [*typed, *prompt(20, 10)])[0] == 300


def test_what_only_those_share_who_leave_goes_with_them(toy: Model) -> None:
    """A household's system prompt: each conversation alone has too little to be worth it."""
    system = prompt(300, 1)
    asked = [[*system, *prompt(40, seed)] for seed in (2, 3, 4)]
    with stored() as store, writing(toy, cells=4096, store=store, durable=True) as writer:
        pool = writer.batcher.pool
        ask_and_save(writer, asked)
        kept_cells = pool.used_cells
        ask(writer, 6, prompt(30, 8))
        left_cells = pool.used_cells
        found = [ask(writer, 10 + job, tokens)[0] for job, tokens in enumerate(asked)]

        assert kept_cells > 400
        assert left_cells < 100
        assert found == [339] * 3


def test_who_loses_little_stays_beside_those_who_have_the_rest(toy: Model) -> None:
    """A dozen tokens would not be fetched again, but prefilled."""
    system = prompt(300, 1)
    asked = [*system, *prompt(5, 2)]
    with stored() as store, writing(toy, cells=4096, store=store, durable=True) as writer:
        ask_and_save(writer, [asked])
        ask(writer, 2, [*system, *prompt(40, 3)])

        assert ask(writer, 3, asked)[0] == 304


def test_two_who_come_back_together_both_find_theirs_in_the_pool(
    toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first's admission does not evict the sequence that the second continues."""
    asked = [prompt(300, seed) for seed in (1, 2)]
    with stored() as store, writing(toy, cells=4096, store=store, durable=True) as writer:
        ask_and_save(writer, asked)
        fetch, fetched = store.fetch, list[int]()

        def noted(wanted: Sequence[int]) -> Fetch:
            fetched.append(len(wanted))
            return fetch(wanted)

        monkeypatch.setattr(store, "fetch", noted)
        for job, tokens in enumerate(asked):
            writer.submit(order(10 + job, 8), conversation(writer, job, tokens))
        writer.finish()
        ended = [writer.answers[10 + job].ended for job in range(2)]

        assert fetched == []
        assert [end.cached_tokens for end in ended if end is not None] == [307, 307]


def test_what_only_the_disk_has_stays_in_the_pool(toy: Model, tmp_path: Path) -> None:
    """A card takes a tenth of a second for each turn of everybody."""
    asked = [prompt(300, seed) for seed in range(2)]
    with (
        stored(tmp_path, ram_bytes=0) as store,
        writing(toy, cells=4096, store=store, durable=True) as writer,
    ):
        pool = writer.batcher.pool
        for job, tokens in enumerate(asked):
            ask(writer, job, tokens)
        while pool.transfer.unsaved:
            pool.transfer.save_block()
        ask(writer, 6, prompt(30, 8))

        assert pool.used_cells > 600


def test_the_template_alone_brings_nothing_back_into_use(toy: Model) -> None:
    """All conversations begin with it, also a new one: the oldest is still evicted first."""
    template = prompt(20, 1)
    oldest, newest = ([*template, *prompt(300, seed)] for seed in (2, 3))
    with writing(toy, cells=1024) as writer:
        ask(writer, 1, oldest)
        ask(writer, 2, newest)
        ask(writer, 3, [*template, *prompt(400, 4)])

        assert ask(writer, 4, newest)[0] == len(newest) - 1


def test_beside_others_a_conversation_is_back_in_a_few_steps(toy: Model) -> None:
    """Others wait for each step, but not for more of them than need be."""
    conversation = prompt(1500, 1)
    with stored() as store, writing(toy, cells=4096, store=store) as writer:
        ask(writer, 1, conversation)
        empty_pool(writer)
        writer.submit(order(2, 200), prompt(20, 2))
        while not writer.answers[2].tokens:
            writer.step()
        before = writer.steps
        writer.submit(order(3, 5), conversation)
        answers = writer.finish()

        assert writer.answers[3].ended is not None
        assert answers[3].at[0] - before <= 8


def test_of_four_with_one_beginning_it_is_read_once(toy: Model) -> None:
    """Whether they come one after the other or while the first is still being answered."""
    system = prompt(500, 1)
    with writing(toy, cells=2048) as writer:
        writer.submit(order(0, 60), [*system, *prompt(20, 100)])
        while not writer.answers[0].tokens:
            writer.step()
        for job in (1, 2, 3):
            writer.submit(order(job, 20), [*system, *prompt(20, 100 + job)])
        answers = writer.finish()

        assert sum(writer.budget.heard) == 520 + 3 * 20
        assert writer.cells.count() < 500 + 4 * 90
    for job in range(4):
        assert follow(toy, [*system, *prompt(20, 100 + job)], answers[job].tokens)


def test_of_four_at_once_with_one_beginning_it_is_read_once(toy: Model) -> None:
    """Three of them wait until the first has prefilled it; each answer is its own."""
    system = prompt(500, 1)
    with writing(toy, cells=2048) as writer:
        for job in range(4):
            writer.submit(order(job, 20), [*system, *prompt(20, 100 + job)])
        answers = writer.finish()

        assert sum(writer.budget.heard) == 520 + 3 * 20
    for job in range(4):
        assert follow(toy, [*system, *prompt(20, 100 + job)], answers[job].tokens)


def test_who_waits_for_another_to_read_goes_on_when_that_one_leaves(toy: Model) -> None:
    """With the tokens prefilled by then."""
    system = prompt(500, 1)
    with writing(toy, cells=2048) as writer:
        for job in range(2):
            writer.submit(order(job, 20), [*system, *prompt(20, 100 + job)])
        for _ in range(3):
            writer.step()
        writer.batcher.cancel(0)
        answers = writer.finish()

        assert answers[1].ended is not None
        assert answers[1].ended.cached_tokens == 3 * 64
        assert len(answers[1].tokens) == 20


def test_the_same_prompt_again_computes_one_token(toy: Model) -> None:
    """The last one, whose scores are needed."""
    with writing(toy) as writer:
        # Nowhere in its answer are two tokens as likely: rounding decides nothing.
        ask(writer, 1, prompt(200, 26))
        found, _computed = ask(writer, 2, prompt(200, 26))

        assert found == 199
        assert writer.answers[1].tokens == writer.answers[2].tokens


@pytest.mark.parametrize("cut", [17, 100, 128, 200, 299])
def test_a_prompt_that_differs_after_a_while_shares_what_came_before(toy: Model, cut: int) -> None:
    """As when a question is edited, or the model's thoughts are left out of the next turn."""
    first = prompt(300, 1)
    other = [*first[:cut], *prompt(50, 2)]
    with writing(toy) as writer:
        ask(writer, 1, first)
        found, _computed = ask(writer, 2, other)

        assert found == cut
        assert follow(toy, other, writer.answers[2].tokens)
        assert ask(writer, 3, first)[0] == 299


def test_what_is_kept_goes_when_its_room_is_wanted(toy: Model) -> None:
    """Retained sequences never make a request wait or be preempted; the oldest is evicted."""
    with writing(toy, cells=1024) as writer:
        for job in range(3):
            ask(writer, job, prompt(300, job))
        assert ask(writer, 3, prompt(300, 0))[0] == 299
        found, computed = ask(writer, 4, prompt(600, 4))
        assert (found, computed) == (0, 600)
        assert ask(writer, 5, prompt(300, 0))[0] == 299
        assert ask(writer, 6, prompt(300, 1))[0] == 0


def test_what_a_newcomer_begins_with_stays_when_the_rest_is_in_its_way(toy: Model) -> None:
    """It has no room beside the whole retained sequence, and continues in its place."""
    first = prompt(700, 1)
    other = [*first[:500], *prompt(450, 2)]
    with stored() as store, writing(toy, cells=1024, store=store) as writer:
        ask(writer, 1, first)
        assert ask(writer, 2, other) == (500, 450)
        assert follow(toy, other, writer.answers[2].tokens)
        # What was in the way went to the store, not away.
        assert ask(writer, 3, first)[0] == 699


def test_what_a_newcomer_begins_with_stays_when_its_number_is_the_last(either_toy: Model) -> None:
    """A box for one answer at a time, where nothing else could be retained: its second turn."""
    first = prompt(300, 1)
    with writing(either_toy, sequences=1, kept=0) as writer:
        ask(writer, 1, first)
        second = conversation(writer, 1, first)
        assert ask(writer, 2, second) == (307, len(second) - 307)
        assert follow(either_toy, second, writer.answers[2].tokens)


def test_no_more_is_kept_than_there_are_numbers(toy: Model) -> None:
    """And the numbers come back: twenty conversations in a pool for six."""
    with writing(toy, cells=4096, sequences=2, kept=4) as writer:
        for job in range(20):
            ask(writer, job, prompt(30, job))
        assert [ask(writer, 100 + job, prompt(30, job))[0] > 0 for job in (0, 14, 19)] == [
            False,
            False,
            True,
        ]


@pytest.mark.parametrize("disk", [False, True])
def test_what_left_the_pool_comes_back_from_the_store(
    toy: Model, tmp_path: Path, disk: bool
) -> None:
    """From memory, or from the disk; and the answer is what it was."""
    first = prompt(400, 1)
    ram_bytes = 0 if disk else 64 * MIB
    with (
        stored(tmp_path if disk else None, ram_bytes=ram_bytes) as store,
        writing(toy, store=store, durable=disk) as writer,
    ):
        ask(writer, 1, first)
        second = conversation(writer, 1, first)
        empty_pool(writer)
        assert writer.cells.count() == 0
        if disk:
            all_written(store)
        found, computed = ask(writer, 2, second)

        assert found == 400 + 7
        assert computed == len(second) - found
        assert follow(toy, second, writer.answers[2].tokens)


def all_written(store: Store) -> None:
    """Wait until nothing waits in memory to be written."""
    while store.ram_used_bytes:
        assert select.select([store], [], [], DEADLINE_S)[0]
        store.poll()


def test_it_survives_the_engine(either_toy: Model, tmp_path: Path) -> None:
    """Another engine, with the same files, begins where the first one was."""
    states = not either_toy.trimmable
    first = prompt(400, 1)
    with (
        stored(tmp_path, states=states) as store,
        writing(either_toy, store=store, durable=True) as writer,
    ):
        ask(writer, 1, first)
        second = conversation(writer, 1, first)
        while writer.batcher.pool.transfer.unsaved:
            writer.batcher.pool.transfer.save_block()
    with (
        stored(tmp_path, states=states) as store,
        writing(either_toy, store=store, durable=True) as writer,
    ):
        assert select.select([store], [], [], DEADLINE_S)[0]
        store.poll()
        found, computed = ask(writer, 2, second)

        assert found == 400 + 7
        assert computed == len(second) - found
        assert follow(either_toy, second, writer.answers[2].tokens)


def test_an_answer_that_was_parked_is_not_read_again(toy: Model) -> None:
    """It is evicted to RAM and restored from there, as long as RAM has room."""
    prompts = {job: prompt(90, job) for job in range(4)}
    computed = {}
    for ram_bytes in (0, 64 * MIB):
        with (
            stored(ram_bytes=ram_bytes) as store,
            writing(toy, cells=512, store=store, budget=FixedBudget(32)) as writer,
        ):
            for job, text in prompts.items():
                writer.submit(order(job, 150), text)
            answers = writer.finish()
            computed[ram_bytes] = sum(writer.budget.heard)
        for job, text in prompts.items():
            assert len(answers[job].tokens) == 150
            assert follow(toy, text, answers[job].tokens)

    assert computed[0] > 4 * 90 + 150
    # But for what the others needed the room of meanwhile.
    assert computed[64 * MIB] <= 4 * 90 + 64


def test_states_that_cannot_be_trimmed_are_found_whole(either_toy: Model) -> None:
    """A second turn finds all of the first, a prompt that differs earlier finds nothing."""
    if either_toy.trimmable:
        pytest.skip("can be trimmed")
    first = prompt(300, 1)
    with writing(either_toy) as writer:
        ask(writer, 1, first)
        second = conversation(writer, 1, first)
        assert ask(writer, 2, [*first[:200], *prompt(50, 2)])[0] == 0
        found, computed = ask(writer, 3, second)

        assert (found, computed) == (307, len(second) - 307)
        assert follow(either_toy, second, writer.answers[3].tokens)


def test_damage_on_the_disk_costs_only_time(toy: Model, tmp_path: Path) -> None:
    """Up to the damaged block it is found, from there on computed."""
    first = prompt(400, 1)
    with stored(tmp_path) as store, writing(toy, store=store, durable=True) as writer:
        ask(writer, 1, first)
        empty_pool(writer)
    files = sorted(tmp_path.rglob("*.kv"), key=lambda path: path.stat().st_mtime_ns)
    spoiled = 0
    for file in files:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        spoiled += 1
    assert spoiled == 4
    with stored(tmp_path) as store, writing(toy, store=store, durable=True) as writer:
        assert select.select([store], [], [], DEADLINE_S)[0]
        store.poll()
        assert ask(writer, 2, first) == (0, 400)
        assert follow(toy, first, writer.answers[2].tokens)


def test_forgetting_leaves_nothing(toy: Model, tmp_path: Path) -> None:
    """Not in the pool, not in RAM, not on the disk; running answers are not affected."""
    with stored(tmp_path) as store, writing(toy, store=store, durable=True) as writer:
        ask(writer, 1, prompt(300, 1))
        empty_pool(writer)
        ask(writer, 2, prompt(300, 2))
        writer.submit(order(3, 30), prompt(100, 3))
        writer.step()
        writer.batcher.pool.purge()
        assert writer.batcher.pool.used_cells <= 101
        answers = writer.finish()
        assert follow(toy, prompt(100, 3), answers[3].tokens)
        assert [ask(writer, 4 + seed, prompt(300, seed))[0] for seed in (1, 2)] == [0, 0]


# Ten thousand steps: some seconds, and ten times that on a machine with other things to do.
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_no_cell_is_lost_in_a_thousand_requests(toy: Model) -> None:
    """Cancelled, preempted, sharing or not: the pool has what is retained, and can be emptied.

    The cells are counted by the library itself.
    """
    rng = random.Random(7)
    with stored(ram_bytes=MIB) as store, writing(toy, cells=768, store=store) as writer:
        systems = [prompt(60, seed) for seed in range(3)]
        for job in range(1000):
            text = [*rng.choice(systems), *prompt(rng.randrange(1, 80), rng.randrange(40))]
            writer.submit(order(job, rng.randrange(1, 24)), text)
            for _ in range(rng.randrange(6)):
                writer.step()
            if rng.random() < 0.2:
                writer.batcher.cancel(rng.randrange(max(job - 5, 0), job + 1))
            if job % 50 == 0:
                writer.check_cells()
        answers = writer.finish()
        ends = [answer.ended.finish for answer in answers.values() if answer.ended]
        assert ends.count(Finish.CANCELLED) > 50
        assert ends.count(Finish.LENGTH) + ends.count(Finish.CANCELLED) == 1000
        empty_pool(writer)
        assert writer.cells.count() == writer.batcher.pool.used_cells == 0


def test_what_is_read_ahead_makes_the_question_quick(toy: Model) -> None:
    """As it grows, each reading adds to the one before; then the question finds it all."""
    question = prompt(300, 1)
    with writing(toy) as writer:
        for job, length in enumerate((100, 200, 290)):
            assert writer.batcher.prefill(Prefill(job, ()), question[:length], length + 5) is None
            writer.finish()
            assert writer.read[job].cached_tokens == length
            assert writer.read[job].prompt_tokens == length + 5
        assert sum(writer.budget.heard) == 290
        assert ask(writer, 9, question)[0] == 290


def test_reading_ahead_gives_way_to_whoever_wants_an_answer(toy: Model) -> None:
    """From the very next step on, and until there is no request; then it continues."""
    with writing(toy, budget=FixedBudget(32)) as writer:
        writer.batcher.prefill(Prefill(1, ()), prompt(200, 1), 200)
        writer.step()
        writer.submit(order(2, 10), prompt(50, 2))
        while not writer.answers[2].ended:
            writer.step()
        assert sum(writer.budget.heard[:3]) == 32 + 50
        assert 1 not in writer.read
        assert writer.answers[2].at == list(range(2, 12))
        writer.finish()
        assert writer.read[1].cached_tokens == 200


def test_reading_ahead_gives_its_room_away(toy: Model) -> None:
    """It ends where it is when an answer needs its cells."""
    with writing(toy, cells=512, budget=FixedBudget(32)) as writer:
        writer.batcher.prefill(Prefill(1, ()), prompt(400, 1), 400)
        for _ in range(5):
            writer.step()
        writer.submit(order(2, 10), prompt(480, 2))
        writer.finish()

        assert writer.read[1].cached_tokens == 160
        assert len(writer.answers[2].tokens) == 10


def test_reading_ahead_that_is_cancelled_leaves_what_it_has(toy: Model) -> None:
    """Its successor continues from there."""
    with writing(toy, budget=FixedBudget(32)) as writer:
        writer.batcher.prefill(Prefill(1, ()), prompt(200, 1), 200)
        for _ in range(3):
            writer.step()
        writer.batcher.cancel(1)
        writer.batcher.prefill(Prefill(2, ()), prompt(250, 1), 250)
        writer.finish()

        assert writer.read[1].cached_tokens == 96
        assert writer.read[2].cached_tokens == 250
        assert sum(writer.budget.heard) == 250


def test_a_question_that_was_never_sent_is_not_written_to_the_disk(
    toy: Model, tmp_path: Path
) -> None:
    """A question that was typed and abandoned is gone with the pool."""
    with stored(tmp_path) as store, writing(toy, store=store, durable=True) as writer:
        writer.batcher.prefill(Prefill(1, ()), prompt(300, 1), 300)
        writer.finish()
        assert not writer.batcher.pool.transfer.unsaved
        empty_pool(writer)
    assert list(tmp_path.rglob("*.kv")) == []
