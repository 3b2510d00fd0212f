"""The tree of stored blocks: which of them a prompt begins with. Kind: rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inglenook.engine.worker.prefix.blocks import (
    BLOCK_TOKENS,
    TOKEN_BYTES,
    Block,
    agreement,
    block_after,
    cut,
    key_after,
    pack,
)


class Index:
    """All blocks there are, each below the one before it."""

    def __init__(self, root: bytes, *, whole: bool) -> None:
        """Begin with none.

        Args:
            root: The model's fingerprint, parent of every first block.
            whole: States can't be trimmed: each is one block of any length, right below the root,
                and of use only to a prompt that begins with all of it.
        """
        self._root = root
        self._whole = whole
        self._blocks: dict[bytes, Block] = {}
        self._children: dict[bytes, dict[bytes, Block]] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, key: bytes) -> bool:
        return key in self._blocks

    def match(self, tokens: Sequence[int]) -> tuple[list[Block], int]:
        """Find the stored path that has most of a prompt's beginning.

        Returns:
            The blocks, and how many leading tokens of the prompt they have; of the last block
            perhaps only a part.
        """
        packed = pack(tokens)
        path: list[Block] = []
        parent, matched = self._root, 0
        while rest := packed[matched * TOKEN_BYTES :][: self._width(packed)]:
            block, agreed = self._closest(parent, rest)
            if block is None:
                break
            path.append(block)
            matched += agreed
            if agreed < BLOCK_TOKENS or self._whole:
                break
            parent = block.key
        return path, matched

    def missing(self, tokens: Sequence[int]) -> list[tuple[int, int]]:
        """The runs of a prompt, as (start, stop), that are not stored."""
        blocks = list(cut(self._root, pack(tokens), whole=self._whole))
        there = 0
        while there < len(blocks) and self.covers(blocks[there]):
            there += 1
        return [(block.start, block.stop) for block in blocks[there:]]

    def block(self, tokens: Sequence[int], start: int, stop: int) -> Block | None:
        """The block of a prompt's run, stored or not; None if what is before it is not stored."""
        packed = pack(tokens[:stop])
        parent = self._root
        if not self._whole:
            before = list(cut(self._root, packed[: start * TOKEN_BYTES], whole=False))
            if before and before[-1].key not in self:
                return None
            parent = before[-1].key if before else self._root
        return block_after(parent, start, packed[start * TOKEN_BYTES :])

    def covers(self, block: Block) -> bool:
        """Whether a block is stored, or a longer one that begins with all of it."""
        siblings = self._children.get(block.parent, {})
        if block.key in siblings or self._whole:
            return block.key in siblings
        return any(sibling.run.startswith(block.run) for sibling in siblings.values())

    def add(self, block: Block) -> list[Block]:
        """Add a block whose parent is there.

        Returns:
            Shorter ones that it makes superfluous; they are still there.
        """
        assert block.parent == self._root or block.parent in self
        siblings = self._children.setdefault(block.parent, {})
        shorter = [
            sibling
            for sibling in siblings.values()
            if not self._whole
            and len(sibling.run) < len(block.run)
            and block.run.startswith(sibling.run)
        ]
        siblings[block.key] = self._blocks[block.key] = block
        return shorter

    def remove(self, key: bytes) -> list[Block]:
        """Remove a block and all below it, which is out of reach without it; say which."""
        removed: list[Block] = []
        doomed = [self._blocks[key]] if key in self._blocks else []
        while doomed:
            block = doomed.pop()
            doomed += self.children(block.key)
            self._children.pop(block.key, None)
            del self._blocks[block.key]
            removed.append(block)
        if removed:
            siblings = self._children[removed[0].parent]
            del siblings[key]
            if not siblings:
                del self._children[removed[0].parent]
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
        """Whether what is before a block is there."""
        return block.parent == self._root or block.parent in self

    def _width(self, packed: bytes) -> int:
        return len(packed) if self._whole else BLOCK_TOKENS * TOKEN_BYTES

    def _closest(self, parent: bytes, rest: bytes) -> tuple[Block | None, int]:
        """The child with the longest agreement; of several the shortest, which is least to read."""
        children = self._children.get(parent, {})
        exact = children.get(key_after(parent, rest))
        if exact is not None:
            return exact, len(rest) // TOKEN_BYTES
        best, best_agreed = None, 0
        for child in children.values():
            agreed = agreement(child.run, rest)
            if self._whole and agreed * TOKEN_BYTES < len(child.run):
                continue
            if agreed > best_agreed or (
                best is not None and agreed == best_agreed and len(child.run) < len(best.run)
            ):
                best, best_agreed = child, agreed
        return best, best_agreed
