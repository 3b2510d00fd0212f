"""Stored states are restored: from RAM, from disk, in the next run; never a wrong one."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inglenook.engine.worker.prefix import io_queue as queue_module
from inglenook.engine.worker.prefix.blockfile import file_bytes
from inglenook.engine.worker.prefix.blocks import Block
from inglenook.engine.worker.prefix.store import Fetch, Store
from tests.engine.worker.prefix.keeping import (
    DEADLINE_S,
    MIB,
    OTHER_ROOT,
    ROOT,
    blocks_of,
    fetched,
    files,
    full_disk,
    keep,
    next_news,
    opened,
    prompt,
    state,
    wait_until,
    written,
)

STATE_BYTES = 1000


def states(tokens: Sequence[int]) -> list[tuple[int, int, bytes]]:
    """All of a prompt's blocks, as `keep` stores them."""
    return [
        (block.start, block.stop, state(tokens[: block.stop], STATE_BYTES))
        for block in blocks_of(tokens)
    ]


def keep_state(store: Store, tokens: Sequence[int], state_bytes: int) -> None:
    """Store a state of a given size; the blocks before it are small."""
    for start, stop in store.missing(tokens):
        size_bytes = state_bytes if stop == len(tokens) else STATE_BYTES
        assert store.put(tokens, (start, stop), state(tokens[:stop], size_bytes))


def held(fetch: Fetch) -> list[tuple[int, int, bytes]]:
    return [(start, stop, bytes(payload)) for start, stop, payload in fetch.blocks]


@pytest.mark.parametrize("ram_bytes", [0, MIB])
def test_a_conversation_is_there_in_the_next_life(tmp_path: Path, ram_bytes: int) -> None:
    """Every block as it was, and nothing of it is missing."""
    with opened(tmp_path, ram_bytes=ram_bytes) as store:
        keep(store, prompt(300))
    with opened(tmp_path, ram_bytes=ram_bytes) as store:
        assert store.match(prompt(300)) == 300
        assert store.missing(prompt(300)) == []
        fetch = fetched(store, prompt(300))

        assert held(fetch) == states(prompt(300))
        assert fetch.tokens == 300
        assert store.ram_used_bytes == (3 * STATE_BYTES if ram_bytes else 0)


def test_a_conversation_that_went_on_has_only_its_end_missing(tmp_path: Path) -> None:
    """The old tail makes way, on disk too."""
    with opened(tmp_path) as store:
        keep(store, prompt(150))
        written(store, tmp_path, 2)

        assert store.match(prompt(300)) == 150
        assert store.missing(prompt(300)) == [(128, 256), (256, 300)]
        keep(store, prompt(300))
        written(store, tmp_path, 3)
        assert store.blocks == 3


def test_a_prompt_that_parts_in_the_middle_of_a_block_gets_what_it_shares(tmp_path: Path) -> None:
    """The state of the whole block: the caller cuts it."""
    fork = prompt(200) + prompt(100, seed=1)
    with opened(tmp_path) as store:
        keep(store, prompt(300))

        fetch = store.fetch(fork)
        assert store.match(fork) == fetch.tokens == 200
        assert held(fetch) == states(prompt(300))[:2]


def test_what_two_prompts_share_is_kept_once(tmp_path: Path) -> None:
    """A household's phones have one system prompt."""
    with opened(tmp_path) as store:
        for seed in range(1, 5):
            keep(store, prompt(256) + prompt(20, seed=seed))

        assert store.blocks == 2 + 4
        assert store.ram_used_bytes == 6 * STATE_BYTES
        written(store, tmp_path, 6)


def test_without_a_disk_memory_serves_at_once() -> None:
    """There is no thread, and no completion."""
    with opened(None) as store:
        keep(store, prompt(300))
        fetch = store.fetch(prompt(300))

        assert fetch.ready
        assert held(fetch) == states(prompt(300))
        assert "prefix-cache" not in [thread.name for thread in threading.enumerate()]
        assert not select.select([store], [], [], 0)[0]
        store.poll()
        store.purge()
        assert store.match(prompt(300)) == store.disk_used_bytes == 0


def test_a_disk_of_no_size_is_none(tmp_path: Path) -> None:
    """Nothing is even made there."""
    with opened(tmp_path / "cache", disk_bytes=0) as store:
        keep(store, prompt(10))

        assert store.match(prompt(10)) == 10
        assert not (tmp_path / "cache").exists()


def test_another_models_states_are_never_offered(tmp_path: Path) -> None:
    """They only take room, and are counted."""
    with opened(tmp_path, fingerprint=OTHER_ROOT) as store:
        keep(store, prompt(10))
    with opened(tmp_path) as store:
        assert store.match(prompt(10)) == 0
        assert store.disk_used_bytes == sum(path.stat().st_size for path in files(tmp_path)) > 0


def test_a_block_without_its_beginning_is_not_kept(tmp_path: Path) -> None:
    """It could not be used."""
    with opened(tmp_path) as store:
        assert not store.put(prompt(300), (128, 256), b"state")
        assert store.blocks == 0


def test_what_is_kept_already_is_not_kept_twice(tmp_path: Path) -> None:
    """Nor is a tail of which there is more."""
    with opened(tmp_path) as store:
        keep(store, prompt(200))
        assert store.put(prompt(200), (0, 128), b"again")
        assert store.put(prompt(150), (128, 150), b"less")

        assert held(store.fetch(prompt(200))) == states(prompt(200))


def test_states_that_cannot_be_cut_are_found_as_a_whole(tmp_path: Path) -> None:
    """Of use to a prompt that begins with all of one, and to no other."""
    with opened(tmp_path, states=True) as store:
        assert store.missing(prompt(300)) == [(0, 128), (128, 256), (256, 300)]
        keep(store, prompt(300))
        assert store.missing(prompt(200)) == [(128, 200)]
        keep(store, prompt(200))
        assert store.missing(prompt(300)) == []
    with opened(tmp_path, states=True) as store:
        assert store.match(prompt(199)) == 0
        assert store.match(prompt(299)) == 200
        fetch = fetched(store, prompt(400))
        assert held(fetch) == states(prompt(300))
        assert fetch.state_at == fetch.tokens == 300


def test_a_state_is_written_only_if_it_saves_enough_reading(tmp_path: Path) -> None:
    """A card is not worn out for a few tokens: 128 KiB for each that need not be prefilled."""
    with opened(tmp_path, states=True, ram_bytes=64 * MIB) as store:
        keep_state(store, prompt(100), 13 * MIB)
        keep_state(store, prompt(200, seed=1), 13 * MIB)
        keep_state(store, prompt(220, seed=1), 13 * MIB)
        keep_state(store, prompt(230, seed=1), 3 * MIB)
        assert store.match(prompt(100)) == 100
        assert [store.match(prompt(n, seed=1)) for n in (200, 220, 230)] == [200, 220, 230]
        written(store, tmp_path, 3)
    with opened(tmp_path, states=True) as store:
        assert store.match(prompt(100)) == 0
        assert [store.match(prompt(n, seed=1)) for n in (220, 230)] == [200, 230]


def test_what_leads_to_a_state_is_written_with_it(tmp_path: Path) -> None:
    """Without one on the disk it would be of no use there."""
    with opened(tmp_path, states=True, ram_bytes=64 * MIB) as store:
        keep_state(store, prompt(150), 20 * MIB)
        assert store.disk_used_bytes == 0
        keep_state(store, prompt(300), MIB)
        written(store, tmp_path, 3)
    with opened(tmp_path, states=True) as store:
        assert store.match(prompt(300)) == 300


def test_what_a_kill_left_without_a_state_goes(tmp_path: Path) -> None:
    """Nothing can begin with it."""
    with opened(tmp_path, states=True) as store:
        keep(store, prompt(300))
        keep(store, prompt(200))
    [end] = [b for b in blocks_of(prompt(300), states=True) if b.state]
    (tmp_path / ROOT.hex() / f"{end.key.hex()}.kv").unlink()
    with opened(tmp_path, states=True) as store:
        assert store.match(prompt(300)) == 200
        written(store, tmp_path, 2)


@pytest.mark.parametrize(
    ("tokens", "state_bytes", "ram_bytes", "wanted"),
    [
        (20, 20 * MIB, 64 * MIB, True),
        (19, 20 * MIB, 64 * MIB, False),
        (1000, 33 * MIB, 64 * MIB, False),
        (1000, 20 * MIB, 0, True),
        (100, 20 * MIB, 0, False),
        (1000, 65 * MIB, 0, False),
    ],
)
def test_a_state_is_wanted_if_it_is_worth_its_room(
    tmp_path: Path, tokens: int, state_bytes: int, ram_bytes: int, wanted: bool
) -> None:
    """A MiB of memory a token, and half of the bound at most; a disk alone takes less."""
    with opened(tmp_path, states=True, ram_bytes=ram_bytes) as store:
        assert store.wants_state(prompt(tokens), state_bytes) is wanted


def test_a_state_is_wanted_for_what_it_has_more_than_others(tmp_path: Path) -> None:
    """Twenty tokens after another it saves twenty tokens."""
    with opened(tmp_path, states=True, ram_bytes=64 * MIB) as store:
        keep_state(store, prompt(100), MIB)

        assert store.wants_state(prompt(120), 20 * MIB)
        assert not store.wants_state(prompt(119), 20 * MIB)


def test_use_counts_in_the_next_life(tmp_path: Path) -> None:
    """The least recently used is evicted first, though it was written later."""
    with opened(tmp_path) as store:
        for seed in range(3):
            keep(store, prompt(200, seed=seed))
    for seed in range(3):
        for block in blocks_of(prompt(200, seed=seed)):
            os.utime(tmp_path / ROOT.hex() / f"{block.key.hex()}.kv", (seed, seed))
    with opened(tmp_path) as store:
        store.fetch(prompt(200, seed=0)).cancel()
    sizes = sum(path.stat().st_size for path in files(tmp_path))
    with opened(tmp_path, disk_bytes=sizes - 1) as store:
        found = [store.match(prompt(200, seed=seed)) for seed in range(3)]

        assert found == [200, 128, 200]


def test_the_disks_bound_holds(tmp_path: Path) -> None:
    """In files, and in what is promised."""
    size_bytes = file_bytes(blocks_of(prompt(10))[0], STATE_BYTES)
    with opened(tmp_path, ram_bytes=0, disk_bytes=5 * size_bytes) as store:
        for seed in range(20):
            keep(store, prompt(10, seed=seed))
        written(store, tmp_path, 5)

        assert store.disk_used_bytes == 5 * size_bytes
        assert [store.match(prompt(10, seed=seed)) > 0 for seed in range(20)] == (
            [False] * 15 + [True] * 5
        )


def test_what_is_fetched_stays_though_memory_is_wanted(tmp_path: Path) -> None:
    """As long as the fetch is held."""
    with opened(tmp_path) as store:
        keep(store, prompt(300))
        written(store, tmp_path, 3)
        fetch = store.fetch(prompt(300))
        store.set_ram_bytes(0)

        assert store.ram_used_bytes == 0
        assert held(fetch) == states(prompt(300))
        assert held(fetched(store, prompt(300))) == states(prompt(300))


def test_a_file_that_is_about_to_go_is_read_first(tmp_path: Path) -> None:
    """A fetch was promised it."""
    with opened(tmp_path, ram_bytes=0) as store:
        keep(store, prompt(300))
        written(store, tmp_path, 3)
        fetch = store.fetch(prompt(300))
        store._tiers._to_delete.extend(block.key for block in blocks_of(prompt(300)))
        store._tidy()
        wait_until(store, lambda: fetch.ready)

        assert held(fetch) == states(prompt(300))


def test_two_may_fetch_the_same(tmp_path: Path) -> None:
    """It is read once, and cancelling one fetch does not end the other."""
    with opened(tmp_path) as store:
        keep(store, prompt(300))
    with opened(tmp_path) as store:
        first, second = store.fetch(prompt(300)), store.fetch(prompt(300))
        first.cancel()
        wait_until(store, lambda: second.ready)

        assert held(first) == []
        assert held(second) == states(prompt(300))
        assert store.ram_used_bytes == 3 * STATE_BYTES


def test_a_cancelled_fetch_is_not_read_on(tmp_path: Path) -> None:
    """The next one's blocks may wait behind it; it may also be over already."""
    with opened(tmp_path) as store:
        keep(store, prompt(128 * 50))
    with opened(tmp_path) as store:
        fetch = store.fetch(prompt(128 * 50))
        fetch.cancel()

        assert store._io._reads == {}
        fetch.cancel()
        assert fetch.ready


@pytest.mark.parametrize("block", [0, 1, 2])
def test_a_damaged_block_ends_what_is_had(tmp_path: Path, block: int) -> None:
    """Blocks before it are good; it and those after it are gone, and can be stored again."""
    with opened(tmp_path) as store:
        keep(store, prompt(300))
    name = f"{blocks_of(prompt(300))[block].key.hex()}.kv"
    path = tmp_path / ROOT.hex() / name
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with opened(tmp_path) as store:
        fetch = fetched(store, prompt(300))

        assert held(fetch) == states(prompt(300))[:block]
        assert store.match(prompt(300)) == fetch.tokens == 128 * block
        keep(store, prompt(300))
        written(store, tmp_path, 3)
        assert held(store.fetch(prompt(300))) == states(prompt(300))


def test_files_that_vanish_are_a_miss(tmp_path: Path) -> None:
    """After a clean-up by hand; new ones are stored as before."""
    with opened(tmp_path, ram_bytes=0) as store:
        keep(store, prompt(300))
        written(store, tmp_path, 3)
        shutil.rmtree(tmp_path / ROOT.hex())

        assert held(fetched(store, prompt(300))) == []
        keep(store, prompt(300))
        written(store, tmp_path, 3)


def test_nothing_is_written_while_the_engine_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is had from memory meanwhile, and written in the next pause."""
    monkeypatch.setattr(queue_module, "WRITE_DELAY_MAX_S", DEADLINE_S)
    with opened(tmp_path, ram_bytes=0) as store:
        keep(store, prompt(10, seed=1))
        written(store, tmp_path, 1)
        store.computing(True)
        keep(store, prompt(10, seed=2))
        # A read begins and ends meanwhile.
        assert held(fetched(store, prompt(10, seed=1))) == states(prompt(10, seed=1))
        assert len(files(tmp_path)) == 1
        assert held(store.fetch(prompt(10, seed=2))) == states(prompt(10, seed=2))
        store.computing(False)
        written(store, tmp_path, 2)


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    """The engine may receive its end in the middle of a step."""
    with opened(tmp_path) as store:
        store.computing(True)
        keep(store, prompt(300))
    with opened(tmp_path) as store:
        assert store.match(prompt(300)) == 300


def test_closing_without_time_loses_what_waits_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun is not left half."""
    monkeypatch.setattr(queue_module, "WRITE_DELAY_MAX_S", DEADLINE_S)
    with opened(tmp_path) as store:
        keep(store, prompt(10, seed=1))
        written(store, tmp_path, 1)
    store = Store(folder=tmp_path, fingerprint=ROOT, ram_bytes=MIB, disk_bytes=MIB)
    next_news(store)
    store.computing(True)
    keep(store, prompt(10, seed=2))
    store.close(0.0)

    with opened(tmp_path) as store:
        assert [store.match(prompt(10, seed=seed)) for seed in (1, 2)] == [10, 0]


def three_conversations(folder: Path) -> list[list[int]]:
    """Leave them on the disk; the last is the one used last."""
    conversations = [prompt(300, seed=seed) for seed in range(3)]
    with opened(folder) as store:
        for tokens in conversations:
            keep(store, tokens)
    for used_s, tokens in enumerate(conversations):
        for block in blocks_of(tokens):
            os.utime(block_path(folder, block), (used_s, used_s))
    return conversations


def block_path(folder: Path, block: Block) -> Path:
    return folder / ROOT.hex() / f"{block.key.hex()}.kv"


def in_memory(store: Store, tokens: Sequence[int]) -> int:
    """How many of a prompt's blocks are in memory."""
    return sum(block.key in store._tiers.ram for block in blocks_of(tokens))


@pytest.mark.parametrize(
    ("ram_bytes", "brought"), [(0, [0, 0, 0]), (10 * STATE_BYTES, [0, 1, 3]), (MIB, [3, 3, 3])]
)
def test_in_the_next_life_the_last_conversations_come_into_memory_by_themselves(
    tmp_path: Path, ram_bytes: int, brought: list[int]
) -> None:
    """The most recently used first, up to half of the bound, without a request."""
    conversations = three_conversations(tmp_path)
    with opened(tmp_path, ram_bytes=ram_bytes) as store:
        wait_until(store, lambda: store._prefetcher.block is None)

        assert [in_memory(store, tokens) for tokens in conversations] == brought
        shutil.rmtree(tmp_path)
        fetch = fetched(store, conversations[2])
        assert held(fetch) == states(conversations[2])[: brought[2]]


def test_nothing_comes_by_itself_while_the_engine_computes(tmp_path: Path) -> None:
    """Except the block being read; requested blocks are read at once."""
    conversations = three_conversations(tmp_path)
    with opened(tmp_path) as store:
        store.computing(True)
        fetch = fetched(store, conversations[0])

        assert held(fetch) == states(conversations[0])
        assert store._prefetcher.block is not None
        assert store.ram_used_bytes <= (3 + 1) * STATE_BYTES
        store.computing(False)
        wait_until(store, lambda: store.ram_used_bytes == 9 * STATE_BYTES)


def test_what_somebody_wants_overtakes_what_comes_by_itself(tmp_path: Path) -> None:
    """It has been used by then, so the other is evicted first."""
    conversations = three_conversations(tmp_path)
    with opened(tmp_path) as store:
        fetched(store, conversations[0])
        wait_until(store, lambda: store._prefetcher.block is None)

        order = list(store._tiers.ram)
        newest = [block.key for block in blocks_of(conversations[0])][::-1]
        assert order[-3:] == newest


def test_a_purge_ends_what_comes_by_itself(tmp_path: Path) -> None:
    """Nothing arrives afterwards, and no file is left."""
    conversations = three_conversations(tmp_path)
    with opened(tmp_path) as store:
        wait_until(store, lambda: store.ram_used_bytes > 0)
        store.purge()
        wait_until(store, lambda: files(tmp_path) == [])

        assert (store.ram_used_bytes, store.blocks, store._prefetcher.block) == (0, 0, None)
        assert [store.match(tokens) for tokens in conversations] == [0, 0, 0]
        keep(store, prompt(10))
        written(store, tmp_path, 1)
        assert store.ram_used_bytes == STATE_BYTES


def test_less_memory_ends_what_comes_by_itself(tmp_path: Path) -> None:
    """For good; the same bound, which every order of the governor tells again, does not."""
    three_conversations(tmp_path)
    with opened(tmp_path) as store:
        store.computing(True)
        store.set_ram_bytes(MIB)
        assert store._prefetcher.block is not None
        store.set_ram_bytes(MIB - 1)
        store.computing(False)
        # What is under way has come when that is written.
        keep(store, prompt(10, seed=9))
        written(store, tmp_path, 10)

        assert store.ram_used_bytes <= 2 * STATE_BYTES
        assert store._prefetcher.block is None


@pytest.mark.parametrize("block", [0, 1, 2])
def test_a_damaged_file_ends_only_its_own_conversation(tmp_path: Path, block: int) -> None:
    """Of that the prefix is prefetched, and the others as a whole."""
    conversations = three_conversations(tmp_path)
    path = block_path(tmp_path, blocks_of(conversations[2])[block])
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    os.utime(path, (2, 2))
    with opened(tmp_path) as store:
        wait_until(store, lambda: store._prefetcher.block is None)

        assert [in_memory(store, tokens) for tokens in conversations] == [3, 3, block]
        assert store.match(conversations[2]) == 128 * block
        written(store, tmp_path, 6 + block)


def test_states_that_cannot_be_cut_come_back_too(tmp_path: Path) -> None:
    """Each is an end of its own."""
    with opened(tmp_path, states=True) as store:
        for length in (200, 300):
            keep(store, prompt(length))
    with opened(tmp_path, states=True) as store:
        wait_until(store, lambda: store.ram_used_bytes == 4 * STATE_BYTES)


def test_a_disk_that_is_lost_brings_nothing_more(tmp_path: Path) -> None:
    """What came is still had."""
    three_conversations(tmp_path)
    with opened(tmp_path) as store:
        store.computing(True)
        store._io.set_failed()
        wait_until(store, lambda: store.disk_used_bytes == 0)
        store.computing(False)

        assert store._prefetcher.block is None
        assert store.blocks == store.ram_used_bytes / STATE_BYTES <= 1


def test_a_purge_forgets_everything(tmp_path: Path) -> None:
    """In memory, on disk, half way to it, and of other models."""
    with opened(tmp_path, fingerprint=OTHER_ROOT) as store:
        keep(store, prompt(10))
    with opened(tmp_path) as store:
        keep(store, prompt(300))
        written(store, tmp_path, 4)
        store.computing(True)
        keep(store, prompt(300, seed=1))
        store.purge()

        assert (store.blocks, store.ram_used_bytes, store.match(prompt(300))) == (0, 0, 0)
        keep(store, prompt(10, seed=2))
        store.computing(False)
        written(store, tmp_path, 1)
        assert store.match(prompt(10, seed=2)) == 10
        assert store.disk_used_bytes == files(tmp_path)[0].stat().st_size


def test_a_purge_ends_fetches(tmp_path: Path) -> None:
    """No fetch waits for a failed read."""
    with opened(tmp_path) as store:
        keep(store, prompt(300))
    with opened(tmp_path) as store:
        fetch = store.fetch(prompt(300))
        store.purge()

        assert fetch.ready
        assert held(fetch) == []


# Half of the RAM tier has no room for a block, so that none is prefetched before the disk is full.
@pytest.mark.parametrize("ram_bytes", [0, 2 * STATE_BYTES])
def test_a_full_disk_leaves_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ram_bytes: int
) -> None:
    """Blocks that were only on disk are dropped; those in RAM are not."""
    with opened(tmp_path, ram_bytes=0) as store:
        keep(store, prompt(10, seed=1))
    with opened(tmp_path, ram_bytes=ram_bytes) as store:
        with full_disk():
            keep(store, prompt(10, seed=2))
            wait_until(store, lambda: store.disk_used_bytes == 0)

        assert [store.match(prompt(10, seed=seed)) for seed in (1, 2)] == [
            0,
            10 if ram_bytes else 0,
        ]
        assert store.put(prompt(10, seed=3), (0, 10), b"state") == (ram_bytes > 0)
    assert len(caplog.records) == 1


def test_a_disk_that_is_back_is_written_to_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of meanwhile are in RAM only; later ones are stored for the next run."""
    monkeypatch.setattr(queue_module, "RETRY_EVERY_S", 0.02)
    with opened(tmp_path) as store:
        keep(store, prompt(10, seed=1))
        written(store, tmp_path, 1)
        with full_disk():
            keep(store, prompt(10, seed=2))
            wait_until(store, lambda: store.disk_used_bytes == 0)
        wait_until(store, lambda: store.disk_used_bytes > 0)
        keep(store, prompt(10, seed=3))
        written(store, tmp_path, 2)
    with opened(tmp_path) as store:
        wait_until(store, lambda: store.blocks == 2)
        assert [store.match(prompt(10, seed=seed)) for seed in (1, 2, 3)] == [10, 0, 10]


def test_a_purge_in_the_moment_in_which_a_disk_is_back_does_not_lose_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is of no use any more, but that it can be written to is."""
    monkeypatch.setattr(queue_module, "RETRY_EVERY_S", 0.02)
    with opened(tmp_path) as store:
        with full_disk():
            keep(store, prompt(10, seed=1))
            wait_until(store, lambda: store.disk_used_bytes == 0)
        assert select.select([store], [], [], DEADLINE_S)[0], "no news"
        store.purge()
        store.poll()
        keep(store, prompt(10, seed=2))
        written(store, tmp_path, 1)


def test_a_disk_that_is_lost_ends_fetches_with_what_came(tmp_path: Path) -> None:
    """Nobody waits for ever."""
    with opened(tmp_path) as store:
        keep(store, prompt(128))
        written(store, tmp_path, 1)
        keep(store, prompt(300))
    with opened(tmp_path) as store:
        store.computing(True)
        fetched(store, prompt(128))
        store._io.set_failed()
        fetch = store.fetch(prompt(300))
        assert not fetch.ready
        next_news(store)

        assert fetch.ready
        assert held(fetch) == states(prompt(128))


def test_a_beginning_that_is_not_stored_is_ready_at_once(tmp_path: Path) -> None:
    """There is nothing to wait for."""
    with opened(tmp_path) as store:
        fetch = store.fetch(prompt(10))

        assert fetch.ready
        assert held(fetch) == []


@st.composite
def prompts(draw: st.DrawFn) -> list[int]:
    """Of a few kinds, so that they begin alike and part anywhere."""
    beginning = prompt(draw(st.integers(0, 300)), seed=draw(st.integers(0, 1)))
    return beginning + prompt(draw(st.integers(0, 200)), seed=draw(st.integers(2, 3)))


ACTS = st.tuples(st.sampled_from(["put", "put", "put", "damage", "purge", "poll"]), prompts())
LIVES = st.tuples(
    st.sampled_from([0, 2500, MIB]),
    st.sampled_from([8000, MIB]),
    st.lists(ACTS, min_size=1, max_size=6),
)


@settings(max_examples=25)
@given(st.lists(LIVES, min_size=1, max_size=3))
def test_whatever_is_had_is_what_was_stored_for_just_these_tokens(
    lives: list[tuple[int, int, list[tuple[str, list[int]]]]],
) -> None:
    """Over lives, forks, small bounds, damage and purges: never another state, never a gap."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for ram_bytes, disk_bytes, acts in lives:
            with opened(folder, ram_bytes=ram_bytes, disk_bytes=disk_bytes) as store:
                for act, tokens in acts:
                    do(store, folder, act, tokens)
                    assert store.ram_used_bytes <= (ram_bytes or MIB)
                    see(store, tokens)


def do(store: Store, folder: Path, act: str, tokens: list[int]) -> None:
    match act:
        case "put":
            for start, stop in store.missing(tokens):
                if not store.put(tokens, (start, stop), state(tokens[:stop])):
                    break
        case "damage":
            for path in files(folder)[:1]:
                # The disk may just be removing or renaming it.
                with contextlib.suppress(FileNotFoundError):
                    os.truncate(path, len(tokens))
        case "purge":
            store.purge()
        case _:
            store.poll()


def see(store: Store, tokens: list[int]) -> None:
    """The fetched part of a prompt."""
    matched = store.match(tokens)
    fetch = fetched(store, tokens)

    assert fetch.tokens <= matched
    assert [start for start, _stop, _state in fetch.blocks] == list(range(0, fetch.tokens, 128))
    for _start, stop, payload in fetch.blocks:
        # The last may be another prompt's, beyond the common prefix.
        if stop <= fetch.tokens:
            assert payload == state(tokens[:stop])
