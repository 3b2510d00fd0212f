"""Who is served next: a bounded queue, fair between devices. Kind: rules."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """First come, first served within a device; device by device in turn between them.

    A device with ten requests does not delay another's first. Finding the next takes constant time.
    """

    def __init__(self) -> None:
        # In order of turns: the first key is the device whose turn it is.
        self._lines: dict[str, deque[T]] = {}

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def waiting(self, device_id: str) -> int:
        """How many a device has waiting."""
        return len(self._lines.get(device_id, ()))

    def put(self, device_id: str, item: T) -> None:
        """Put ``item`` at the end of its device's line; a device new to the queue gets the last turn."""
        self._lines.setdefault(device_id, deque()).append(item)

    def take(self) -> T:
        """Take the next item.

        Raises:
            IndexError: If there is none.
        """
        for device_id in self._lines:
            line = self._lines.pop(device_id)
            item = line.popleft()
            if line:
                self._lines[device_id] = line
            return item
        raise IndexError("the queue is empty")

    def remove(self, device_id: str, item: T) -> bool:
        """Take ``item`` out, wherever it stands; say whether it was there."""
        line = self._lines.get(device_id)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del self._lines[device_id]
        return True

    def in_order(self) -> Iterator[T]:
        """Everything that waits, in the order it would be taken now."""
        lines = [deque(line) for line in self._lines.values()]
        while lines:
            for line in lines:
                yield line.popleft()
            lines = [line for line in lines if line]
