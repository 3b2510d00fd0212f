"""The tree of stored blocks, in which prefixes of prompts are found. Kind: rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from inglenook.engine.worker.prefix.blocks import (
    BLOCK_TOKENS,
    TOKEN_BYTES,
    Block,
    agreement,
    block_after,
    cut,
    key_after,
    pack,
    root_of,
)

_WIDTH: Final = BLOCK_TOKENS * TOKEN_BYTES


class Index:
    """All stored blocks, each a child of the block before it."""

    def __init__(self, root: bytes, *, states: bool) -> None:
        """Begin empty.

        Args:
            root: The model's fingerprint.
            states: The model keeps states that can't be cut: a prompt continues only from a block
                that has one, and other blocks are of use only before such a block.
        """
        self._root = root
        self._states = states
        self._blocks: dict[bytes, Block] = {}
        self._children: dict[bytes, dict[bytes, Block]] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, key: bytes) -> bool:
        return key in self._blocks

    def match(self, tokens: Sequence[int], namespace: bytes = b"") -> tuple[list[Block], int]:
        """Find the stored path with the longest prefix of a prompt, in its namespace.

        Returns:
            The blocks, and the length of the common prefix in tokens; it may end within the last
            block.
        """
        packed = pack(tokens)
        if self._states:
            path = next(reversed(list(self._paths_to_states(packed, namespace))), [])
            return path, path[-1].stop if path else 0
        path = []
        parent, matched = root_of(self._root, namespace), 0
        while rest := packed[matched * TOKEN_BYTES :][:_WIDTH]:
            block, agreed = self._closest(parent, rest)
            if block is None:
                break
            path.append(block)
            matched += agreed
            if agreed < BLOCK_TOKENS:
                break
            parent = block.key
        return path, matched

    def states(self, tokens: Sequence[int], namespace: bytes = b"") -> list[Block]:
        """The blocks with states that a prompt can continue from, the longest first."""
        return [path[-1] for path in self._paths_to_states(pack(tokens), namespace)][::-1]

    def missing(self, tokens: Sequence[int], namespace: bytes = b"") -> list[tuple[int, int]]:
        """The runs of a prompt, as (start, stop), that are not stored."""
        root = root_of(self._root, namespace)
        blocks = list(cut(root, pack(tokens), states=self._states))
        there = 0
        while there < len(blocks) and self.covers(blocks[there]):
            there += 1
        return [(block.start, block.stop) for block in blocks[there:]]

    def block(
        self, tokens: Sequence[int], start: int, stop: int, namespace: bytes = b""
    ) -> Block | None:
        """The block of a prompt's run, stored or not; None if the block before it is not stored.

        Where there are states, the run up to the prompt's end has one.
        """
        packed = pack(tokens[:stop])
        root = root_of(self._root, namespace)
        before = list(cut(root, packed[: start * TOKEN_BYTES], states=False))
        if before and before[-1].key not in self:
            return None
        parent = before[-1].key if before else root
        state = self._states and stop == len(tokens)
        return block_after(parent, start, packed[start * TOKEN_BYTES :], state=state)

    def covers(self, block: Block) -> bool:
        """Whether a block is stored, or a longer one that begins with all of it."""
        siblings = self._children.get(block.parent, {})
        if block.key in siblings or self._states:
            return block.key in siblings
        return any(sibling.run.startswith(block.run) for sibling in siblings.values())

    def add(self, block: Block) -> list[Block]:
        """Add a block whose parent is stored.

        Returns:
            Shorter blocks that it makes redundant; they are not removed.
        """
        assert self.is_reachable(block)
        siblings = self._children.setdefault(block.parent, {})
        shorter = [
            sibling
            for sibling in siblings.values()
            if not self._states
            and len(sibling.run) < len(block.run)
            and block.run.startswith(sibling.run)
        ]
        siblings[block.key] = self._blocks[block.key] = block
        return shorter

    def remove(self, key: bytes) -> list[Block]:
        """Remove a block, its descendants, and blocks of no use without it; returns them.

        Descendants are unreachable without it. Where there are states, a block that leads to none
        is of no use.
        """
        removed: list[Block] = []
        top = self._blocks.get(key)
        # A prompt of 100,000 tokens is a chain of a thousand blocks, and one state.
        while top is not None:
            removed += self._remove_from(top)
            parent = self._blocks.get(top.parent) if self._states else None
            top = None if top.parent in self._children else parent
        return removed

    def path(self, key: bytes) -> list[Block]:
        """The blocks from the first to this one."""
        path = []
        while key in self._blocks:
            path.append(self._blocks[key])
            key = path[-1].parent
        return path[::-1]

    def children(self, key: bytes) -> Iterable[Block]:
        """The blocks right after this one."""
        return self._children.get(key, {}).values()

    def is_reachable(self, block: Block) -> bool:
        """Whether the block before it is stored."""
        return block.start == 0 or block.parent in self

    def _remove_from(self, top: Block) -> Iterator[Block]:
        """Remove a block and its descendants."""
        siblings = self._children[top.parent]
        del siblings[top.key]
        if not siblings:
            del self._children[top.parent]
        doomed = [top]
        while doomed:
            block = doomed.pop()
            doomed += self._children.pop(block.key, {}).values()
            del self._blocks[block.key]
            yield block

    def _paths_to_states(self, packed: bytes, namespace: bytes) -> Iterator[list[Block]]:
        """Paths to blocks with states that are whole prefixes of a prompt, shortest first."""
        path: list[Block] = []
        parent = root_of(self._root, namespace)
        for at in range(0, len(packed), _WIDTH):
            rest = packed[at : at + _WIDTH]
            found = [b for b in self.children(parent) if b.state and rest.startswith(b.run)]
            for block in sorted(found, key=lambda block: len(block.run)):
                yield [*path, block]
            inner = self._blocks.get(key_after(parent, rest))
            if inner is None:
                return
            path.append(inner)
            parent = inner.key

    def _closest(self, parent: bytes, rest: bytes) -> tuple[Block | None, int]:
        """The child with the longest common prefix, and its length; of equals the shortest."""
        children = self._children.get(parent, {})
        exact = children.get(key_after(parent, rest))
        if exact is not None:
            return exact, len(rest) // TOKEN_BYTES
        best, best_agreed = None, 0
        for child in children.values():
            agreed = agreement(child.run, rest)
            if agreed > best_agreed or (
                best is not None and agreed == best_agreed and len(child.run) < len(best.run)
            ):
                best, best_agreed = child, agreed
        return best, best_agreed
