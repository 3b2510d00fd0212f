"""Admits waiting sequences to the KV pool and preempts active ones. Kind: hands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from inglenook.engine.events import Finish
from inglenook.engine.worker.decode.sequence import Sequence
from inglenook.engine.worker.kv.common_prefix import MIN_PREFIX_TOKENS, common_tokens
from inglenook.engine.worker.kv.pool import MIN_FETCH_TOKENS, Pool
from inglenook.engine.worker.prefix.blocks import BLOCK_TOKENS

if TYPE_CHECKING:
    from inglenook.engine.worker.prefix.store import Store

#: Seconds for copying blocks in before a step that other sequences wait for. At least one block is
#: copied: 3 MB of a model with 1.5B parameters.
_COPYING_S = 0.02

#: A sequence waits if an active one is prefilling at least this many of its uncached tokens.
_WORTH_WAITING_TOKENS = 32

#: Free cells left for each active sequence at an admission: in a pool without free cells the next
#: step would have to preempt one.
_SPARE_TOKENS = 32


class SequenceScheduler:
    """The waiting and the active sequences of one engine."""

    def __init__(self, pool: Pool, store: Store | None, *, sequences: int) -> None:
        """Take over the pool; at most ``sequences`` answers are active at once."""
        self._pool = pool
        self._store = store
        self._sequences = sequences
        self._waiting: list[Sequence] = []
        self._finished: list[Sequence] = []
        self.active: dict[int, Sequence] = {}  # by number, in the order of admission

    def __iter__(self) -> Iterator[Sequence]:
        return iter((*self.active.values(), *self._waiting))

    def __len__(self) -> int:
        return len(self.active) + len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether a job is unfinished, or its end not yet reported."""
        return bool(self.active or self._waiting or self._finished)

    @property
    def blocked(self) -> bool:
        """Whether there are sequences and all of them wait for the prefix store."""
        fetching = all(
            sequence.fetch is not None and not sequence.fetch.ready and sequence.finish is None
            for sequence in self
        )
        return len(self) > 0 and not self._finished and fetching

    def join(self, sequence: Sequence) -> None:
        """Add a sequence to those that wait."""
        self._waiting.append(sequence)

    def admit(self) -> None:
        """Admit the next waiting sequences, and copy blocks from the store into the pool."""
        admitted = False
        for sequence in self._in_turn():
            if not self._has_place(sequence):
                break
            if self._is_being_prefilled(sequence):
                continue
            self._check_store(sequence)
            if sequence.fetch is not None and not sequence.fetch.ready:
                # Sequences behind it need not wait for the disk.
                continue
            if not self._try_admit(sequence):
                # By the time there is room, cells that it could share may have been evicted.
                sequence.cache_checked = sequence.fetch is not None
                break
            admitted = True
            if not self._pool.trimmable:
                # A sequence admitted in the same step can share its cells, but not its state.
                self._copy_in(sequence)
        if admitted:
            # Only after all admissions: each may share its prefix with an evictee.
            self._pool.evict_stored()
        for sequence in self.active.values():
            self._copy_in(sequence)

    def make_room(self) -> None:
        """End a speculative prefill, else preempt the newest answer, which is admitted again later.

        Called when the pool is full and has no retained sequences.
        """
        if self._end_prefill():
            return
        newest = list(self.active.values())[-1]
        if len(self.active) == 1:
            # It has the whole pool: no answer can be longer.
            newest.finish = Finish.LENGTH
            return
        self._drop_fetch(newest)
        self._pool.preempt(self._take_out(newest))
        self._waiting.insert(0, newest)
        newest.computed, newest.cache_checked = 0, False

    def take_finished(self) -> list[Sequence]:
        """Remove and return finished sequences; the pool retains their computed tokens."""
        for sequence in [sequence for sequence in self if sequence.finish is not None]:
            self._end(sequence)
        finished, self._finished = self._finished, []
        return finished

    def _in_turn(self) -> list[Sequence]:
        """Candidates for admission: answers in order; speculative prefills if no answer waits."""
        answers = [sequence for sequence in self._waiting if sequence.answer is not None]
        return answers or list(self._waiting)

    def _has_place(self, sequence: Sequence) -> bool:
        if sequence.answer is None:
            return True
        answers = sum(1 for other in self.active.values() if other.answer is not None)
        return answers < self._sequences

    def _is_being_prefilled(self, sequence: Sequence) -> bool:
        """Whether an active sequence is just prefilling the beginning of a waiting one's prompt.

        The latter then waits and shares the cells: four requests at once with one system prompt.
        """
        shareable = [
            self._will_share(sequence, other)
            for other in self.active.values()
            if other.pending > 1
            and other.namespace == sequence.namespace
            and (other.answer is not None or sequence.answer is None)
        ]
        if not shareable:
            return False
        cached = self._pool.common(sequence.tokens, sequence.namespace)
        if not self._pool.trimmable and self._store is not None:
            cached = max(cached, self._store.match(sequence.tokens[:-1], sequence.namespace))
        return max(shareable) >= cached + _WORTH_WAITING_TOKENS

    def _will_share(self, sequence: Sequence, other: Sequence) -> int:
        """How many tokens of a prompt will be in the pool once another has been prefilled."""
        common = common_tokens(sequence.tokens, other.tokens)
        marks = (mark for mark in other.marks if mark <= common)
        return common if self._pool.trimmable else max(marks, default=0)

    def _check_store(self, sequence: Sequence) -> None:
        """Query the store once; start a fetch if it has enough more tokens than the pool."""
        if self._store is None or sequence.cache_checked:
            return
        sequence.cache_checked = True
        # The last token must be computed, because its scores are needed.
        wanted = sequence.tokens[: len(sequence.tokens) - 1]
        found = self._store.match(wanted, sequence.namespace)
        in_memory = self._store.in_memory(wanted[:found], sequence.namespace)
        worth = MIN_PREFIX_TOKENS if in_memory else MIN_FETCH_TOKENS
        if found >= self._pool.common(sequence.tokens, sequence.namespace) + worth:
            sequence.fetch = self._store.fetch(wanted, sequence.namespace)

    def _try_admit(self, sequence: Sequence) -> bool:
        if not self._pool.trimmable and sequence.fetch and not sequence.fetch.state_at:
            # The disk no longer has a state to continue from.
            self._drop_fetch(sequence)
        number = self._admit(sequence)
        while number is None and sequence.answer is not None and self._end_prefill():
            number = self._admit(sequence)
        if number is None:
            return False
        self._waiting.remove(sequence)
        self.active[number] = sequence
        sequence.number = number
        sequence.computed = self._pool.length(number)
        self._note_cached(sequence)
        return True

    def _admit(self, sequence: Sequence) -> int | None:
        spare = _SPARE_TOKENS * len(self.active)
        at = sequence.fetch.state_at if sequence.fetch is not None else 0
        tokens, namespace = sequence.tokens, sequence.namespace
        return self._pool.admit(tokens, namespace, spare_cells=spare, state_at=at)

    def _copy_in(self, sequence: Sequence) -> None:
        """Copy fetched blocks into the pool; only a few per step if other sequences are active."""
        fetch = sequence.fetch
        if fetch is None:
            return
        assert sequence.number is not None
        began_s = time.perf_counter()
        for start, stop, payload in fetch.blocks:
            wanted = min(stop, fetch.tokens)
            if wanted <= sequence.computed:
                continue
            state = stop == fetch.state_at
            done = self._pool.transfer.insert(
                sequence.number, (start, wanted), payload, self._pool.make_room, state=state
            )
            sequence.computed = self._pool.length(sequence.number)
            self._note_cached(sequence)
            if not done:
                break
            if len(self.active) > 1 and not self._may_copy_more(began_s):
                return
        self._pool.transfer.drop_stateless(sequence.number)
        self._drop_fetch(sequence)

    def _may_copy_more(self, began_s: float) -> bool:
        """Whether there are time and cells for one more block beside other sequences."""
        spare = BLOCK_TOKENS + _SPARE_TOKENS * len(self.active)
        return time.perf_counter() - began_s < _COPYING_S and self._pool.free_cells >= spare

    def _note_cached(self, sequence: Sequence) -> None:
        """Count cached tokens at the first admission, not after a preemption."""
        if not sequence.begun:
            sequence.cached_tokens = min(sequence.computed, sequence.prompt_tokens)

    def _end_prefill(self) -> bool:
        """End the newest speculative prefill, if any; the pool retains its tokens."""
        idle = [sequence for sequence in self.active.values() if sequence.answer is None]
        if idle:
            idle[-1].finish = Finish.STOP
            self._end(idle[-1])
        return bool(idle)

    def _end(self, sequence: Sequence) -> None:
        self._drop_fetch(sequence)
        self._finished.append(sequence)
        if sequence.number is None:
            self._waiting.remove(sequence)
        elif sequence.finish is Finish.FAILED:
            self._pool.evict(self._take_out(sequence))
        else:
            # A speculative prefill is not written to disk: its question was never sent.
            save = sequence.answer is not None
            self._pool.retain(self._take_out(sequence), save=save, whole=sequence.begins_another)

    def _take_out(self, sequence: Sequence) -> int:
        number, sequence.number = sequence.number, None
        assert number is not None
        del self.active[number]
        return number

    def _drop_fetch(self, sequence: Sequence) -> None:
        if sequence.fetch is not None:
            sequence.fetch.cancel()
            sequence.fetch = None
