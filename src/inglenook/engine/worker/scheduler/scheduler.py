"""Who is in the pool and who waits to get in. Kind: hands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from inglenook.engine.events import Finish
from inglenook.engine.worker.decode.sequence import Sequence
from inglenook.engine.worker.kv.common_prefix import WORTH_KEEPING_TOKENS, common_tokens
from inglenook.engine.worker.kv.pool import WORTH_FETCHING_TOKENS, Pool
from inglenook.engine.worker.prefix.blocks import BLOCK_TOKENS

if TYPE_CHECKING:
    from inglenook.engine.worker.prefix.store import Store

#: How long blocks are moved in before a step that others wait for, seconds. At least one is: 3 MB
#: of a model with 1.5B parameters.
_MOVING_S = 0.02

#: What another must be about to read of a newcomer's prompt, for the newcomer to wait for it.
_WORTH_WAITING_TOKENS = 32

#: Room to be left for each that is active, when another is let in: in a pool packed to the last
#: cell somebody would have to be parked in the very next step.
_SPARE_TOKENS = 32


class SequenceScheduler:
    """The line before the pool, and the sequences that are in it."""

    def __init__(self, pool: Pool, store: Store | None, *, sequences: int) -> None:
        """Take the pool over, and how many answers may be in it at once."""
        self._pool = pool
        self._store = store
        self._sequences = sequences
        self._waiting: list[Sequence] = []
        self._finished: list[Sequence] = []
        #: By number, in the order in which they came in.
        self.active: dict[int, Sequence] = {}

    def __iter__(self) -> Iterator[Sequence]:
        return iter((*self.active.values(), *self._waiting))

    def __len__(self) -> int:
        return len(self.active) + len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether any job is unfinished, or its end not yet told."""
        return bool(self.active or self._waiting or self._finished)

    @property
    def blocked(self) -> bool:
        """Whether somebody is here, and all wait for the store."""
        return (
            bool(self.active or self._waiting)
            and not self._finished
            and all(
                sequence.fetch is not None and not sequence.fetch.ready and sequence.finish is None
                for sequence in self
            )
        )

    def join(self, sequence: Sequence) -> None:
        """Let a newcomer wait for its turn."""
        self._waiting.append(sequence)

    def admit(self) -> None:
        """Let those in whose turn it is, and move in what the store has brought."""
        came = False
        for sequence in self._in_turn():
            if not self._has_place(sequence):
                break
            if self._comes_anyway(sequence):
                continue
            self._look_for(sequence)
            if sequence.fetch is not None and not sequence.fetch.ready:
                # Others need not wait for its disk.
                continue
            if not self._let_in(sequence):
                # What it could share may be gone when there is room.
                sequence.looked = sequence.fetch is not None
                break
            came = True
            if not self._pool.trimmable:
                # Whoever comes along with it may share its cells, and not its state.
                self._move_in(sequence)
        if came:
            # Not before: who comes along with another may begin as what would go.
            self._pool.drop_stored()
        for sequence in self.active.values():
            self._move_in(sequence)

    def make_room(self) -> None:
        """The pool is full, though nothing is kept there: somebody must go.

        What is only read ahead goes for good; of answers the newest, which comes back later.
        """
        if self._end_idle():
            return
        newest = list(self.active.values())[-1]
        if len(self.active) == 1:
            # Alone and still no room: the pool is as long as an answer here can get.
            newest.finish = Finish.LENGTH
            return
        self._drop_fetch(newest)
        self._pool.park(self._take_out(newest))
        self._waiting.insert(0, newest)
        newest.computed = 0
        newest.looked = False

    def take_finished(self) -> list[Sequence]:
        """Take out those that are over; what they had computed is kept for others."""
        for sequence in [sequence for sequence in self if sequence.finish is not None]:
            self._end(sequence)
        finished, self._finished = self._finished, []
        return finished

    def _in_turn(self) -> list[Sequence]:
        """Who may be let in now: answers in their order; what is read ahead, when none waits."""
        answers = [sequence for sequence in self._waiting if sequence.answer is not None]
        return answers or list(self._waiting)

    def _has_place(self, sequence: Sequence) -> bool:
        if sequence.answer is None:
            return True
        answers = sum(1 for other in self.active.values() if other.answer is not None)
        return answers < self._sequences

    def _comes_anyway(self, sequence: Sequence) -> bool:
        """Whether somebody is just reading what a newcomer begins with as well.

        Then it waits for that, and has it for nothing: four phones with one system prompt, at once.
        """
        reading = [
            self._will_share(sequence, other)
            for other in self.active.values()
            if other.pending > 1 and (other.answer is not None or sequence.answer is None)
        ]
        if not reading:
            return False
        there = self._pool.common(sequence.tokens)
        if not self._pool.trimmable and self._store is not None:
            there = max(there, self._store.match(sequence.tokens[:-1]))
        return max(reading) >= there + _WORTH_WAITING_TOKENS

    def _will_share(self, sequence: Sequence, other: Sequence) -> int:
        """How much of a newcomer's prompt will be there once another has read its own."""
        common = common_tokens(sequence.tokens, other.tokens)
        if self._pool.trimmable:
            return common
        return max((mark for mark in other.marks if mark <= common), default=0)

    def _look_for(self, sequence: Sequence) -> None:
        """See once whether the store has more of a newcomer than the pool."""
        if self._store is None or sequence.looked:
            return
        sequence.looked = True
        # One token must be left to compute, for its scores.
        wanted = sequence.tokens[: len(sequence.tokens) - 1]
        found = self._store.match(wanted)
        at_hand = self._store.in_memory(wanted[:found])
        worth = WORTH_KEEPING_TOKENS if at_hand else WORTH_FETCHING_TOKENS
        if found >= self._pool.common(sequence.tokens) + worth:
            sequence.fetch = self._store.fetch(wanted)

    def _let_in(self, sequence: Sequence) -> bool:
        if not self._pool.trimmable and sequence.fetch and not sequence.fetch.state_at:
            # The disk has lost what one could go on with.
            self._drop_fetch(sequence)
        number = self._admit(sequence)
        while number is None and sequence.answer is not None and self._end_idle():
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
        spare_cells = _SPARE_TOKENS * len(self.active)
        state_at = sequence.fetch.state_at if sequence.fetch is not None else 0
        return self._pool.admit(sequence.tokens, spare_cells=spare_cells, state_at=state_at)

    def _move_in(self, sequence: Sequence) -> None:
        """Put blocks that the store has brought into the pool; with company, a few a step."""
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
            done = self._pool.put_in(sequence.number, start, wanted, payload, state=state)
            sequence.computed = self._pool.length(sequence.number)
            self._note_cached(sequence)
            if not done:
                break
            if len(self.active) > 1 and not self._may_move_more(began_s):
                return
        self._pool.settle(sequence.number)
        self._drop_fetch(sequence)

    def _may_move_more(self, began_s: float) -> bool:
        """Whether others can wait for another block, and have room left."""
        spare_cells = BLOCK_TOKENS + _SPARE_TOKENS * len(self.active)
        return time.perf_counter() - began_s < _MOVING_S and self._pool.free_cells >= spare_cells

    def _note_cached(self, sequence: Sequence) -> None:
        """Count what was found at its first coming; coming back from being parked is no find."""
        if not sequence.begun:
            sequence.cached_tokens = min(sequence.computed, sequence.prompt_tokens)

    def _end_idle(self) -> bool:
        """End what was read ahead last, if anything is; what it has is kept as long as it may."""
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
            self._pool.drop(self._take_out(sequence))
        else:
            # A question that was never sent is nothing to write to a disk.
            save = sequence.answer is not None
            self._pool.keep(self._take_out(sequence), save=save, whole=sequence.begins_another)

    def _take_out(self, sequence: Sequence) -> int:
        assert sequence.number is not None
        number, sequence.number = sequence.number, None
        del self.active[number]
        return number

    def _drop_fetch(self, sequence: Sequence) -> None:
        if sequence.fetch is not None:
            sequence.fetch.cancel()
            sequence.fetch = None
