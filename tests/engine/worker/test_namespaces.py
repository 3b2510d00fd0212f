"""Cached tokens are shared within one namespace only: in the pool, in RAM, on disk."""

from __future__ import annotations

from pathlib import Path

import msgspec

from inglenook.engine.orders import Prefill
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt.state_positions import NO_MARKS, StatePositions
from tests.engine.worker.test_caching import empty_pool, prompt, stored
from tests.engine.worker.toy import write_recurrent_toy_model
from tests.engine.worker.writing import FixedBudget, Writer, order, writing

ADA, BEN = b"Ada's phone", b"Ben's phone"
QUESTION = prompt(300, 1)
MARKS = StatePositions((250,))


def cached(writer: Writer, job: int, namespace: bytes, marks: StatePositions = NO_MARKS) -> int:
    """How many tokens of the question are found."""
    start = msgspec.structs.replace(order(job, 4), namespace=namespace)
    writer.submit(start, QUESTION, marks)
    writer.finish()
    ended = writer.answers[job].ended
    assert ended is not None
    return ended.cached_tokens


def test_the_pool_shares_cells_within_a_namespace(toy: Model) -> None:
    """Of retained sequences."""
    with writing(toy) as writer:
        asked = [(1, ADA), (2, BEN), (3, b""), (4, BEN), (5, ADA), (6, b"")]
        assert [cached(writer, *each) for each in asked] == [0, 0, 0, 299, 299, 299]


def test_the_store_shares_blocks_within_a_namespace(toy: Model, tmp_path: Path) -> None:
    """From RAM, and from the disk after a restart; with and without a namespace."""
    with stored(tmp_path) as store, writing(toy, store=store, durable=True) as writer:
        for job, namespace in enumerate((ADA, b"")):
            assert cached(writer, job, namespace) == 0
            while writer.batcher.pool.transfer.unsaved:
                writer.batcher.pool.transfer.save_block()
            empty_pool(writer)
        assert [cached(writer, *each) for each in ((5, BEN), (6, ADA), (7, b""))] == [0, 299, 299]
    with stored(tmp_path) as store, writing(toy, store=store, durable=True) as writer:
        assert store.match(QUESTION, ADA) == 0
        writer.hear_store()
        assert [cached(writer, *each) for each in ((1, ADA), (2, b""))] == [299, 299]
        assert store.match(QUESTION, b"Cleo's phone") == 0


def test_nothing_is_waited_for_in_another_namespace(toy: Model) -> None:
    """Two at once with one prompt: the second shares what the first prefills only if it may."""
    for namespaces, computed in (((ADA, ADA), 300), ((ADA, BEN), 600)):
        with writing(toy, budget=FixedBudget(64)) as writer:
            for job, namespace in enumerate(namespaces):
                start = msgspec.structs.replace(order(job, 1), namespace=namespace)
                writer.submit(start, QUESTION)
            writer.finish()

            assert sum(writer.budget.heard) == computed


def test_a_speculative_prefill_serves_its_namespace(toy: Model) -> None:
    """As it is salted like the request that follows."""
    with writing(toy) as writer:
        prefill = Prefill(1, (), namespace=ADA)
        writer.batcher.prefill(prefill, QUESTION[:200], len(QUESTION))
        writer.finish()

        assert [cached(writer, 2, BEN), cached(writer, 3, ADA)] == [0, 200]


def test_running_states_are_shared_within_a_namespace(tmp_path: Path) -> None:
    """Of models whose states cannot be cut."""
    write_recurrent_toy_model(tmp_path / "recurrent.gguf")
    model = Model(str(tmp_path / "recurrent.gguf"), lambda _fraction: True)
    with stored(tmp_path / "prefix", states=True) as store, writing(model, store=store) as writer:
        found = [cached(writer, job, name, MARKS) for job, name in enumerate((ADA, BEN, ADA))]

    model.close()
    assert found[:2] == [0, 0]
    assert found[2] == 250
