"""Who is served next: a bounded queue, fair between devices. Kind: rules.

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): every device has a virtual time that
grows by the service it gets, in tokens, over its weight; the device that is least far gets the next
turn. One that comes after a pause begins where the others are: neither its idle hours nor its busy
ones count. So a phone with ten questions does not delay another's first, one with long answers does
not get more than one with short ones, and nobody waits for ever.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """What waits, one line a device."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[T]] = {}
        self._weights: dict[str, float] = {}
        self._times: dict[str, float] = {}
        self._clock = 0.0

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def waiting(self, device_id: str) -> int:
        """How many a device has waiting."""
        return len(self._lines.get(device_id, ()))

    def put(self, device_id: str, item: T, *, weight: float = 1.0) -> None:
        """Put ``item`` at the end of its device's line.

        Args:
            device_id: Whose it is.
            item: What waits.
            weight: A device of weight 2 gets twice the service of one of weight 1.
        """
        if device_id not in self._lines:
            self._lines[device_id] = deque()
            # A line that is new, or was empty for a while, begins where the others are now.
            self._times[device_id] = max(self._times.get(device_id, 0.0), self._clock)
        self._weights[device_id] = weight
        self._lines[device_id].append(item)

    def put_back(self, device_id: str, item: T, *, age: Callable[[T], float]) -> None:
        """Put an item that was taken into its line again; it stays charged.

        Args:
            device_id: Whose it is.
            item: What waits again.
            age: Items of a line that are less by this stay before it.
        """
        insort(self._lines.setdefault(device_id, deque()), item, key=age)
        self._times.setdefault(device_id, self._clock)
        self._weights.setdefault(device_id, 1.0)

    def next_device(self) -> str | None:
        """Whose turn it is; None if nobody waits."""
        return min(self._lines, key=self._times.__getitem__, default=None)

    def take(self, cost: float) -> T | None:
        """Take the next item, and charge its device ``cost`` in advance.

        Args:
            cost: What serving it is expected to take, in tokens; `charge` corrects it later.

        Returns:
            None if nobody waits.
        """
        device_id = self.next_device()
        if device_id is None:
            return None
        self._clock = max(self._clock, self._times[device_id])
        item = self._pop(device_id)
        self.charge(device_id, cost)
        return item

    def charge(self, device_id: str, cost: float) -> None:
        """Count ``cost`` tokens of service; below zero gives back what was charged too much."""
        if device_id in self._times:
            self._times[device_id] += cost / self._weights[device_id]

    def remove(self, device_id: str, item: T) -> bool:
        """Take ``item`` out, wherever it stands; say whether it was there."""
        line = self._lines.get(device_id)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del self._lines[device_id]
        return True

    def clear(self) -> list[T]:
        """Take everything out."""
        items = [item for line in self._lines.values() for item in line]
        self._lines.clear()
        return items

    def forget_idle(self, served: Collection[str]) -> None:
        """Drop what is known of devices that neither wait nor are ahead of the others.

        Args:
            served: Devices to keep all the same: their service is yet to be charged in full.
        """
        for device_id in [d for d in self._times if d not in self._lines and d not in served]:
            if self._times[device_id] <= self._clock:
                del self._times[device_id], self._weights[device_id]

    def in_order(self, cost: float) -> Iterator[T]:
        """Everything that waits, in the order it would be taken if each took ``cost`` tokens."""
        times = dict(self._times)
        lines = {device_id: iter(line) for device_id, line in self._lines.items()}
        left = {device_id: len(line) for device_id, line in self._lines.items()}
        while left:
            device_id = min(left, key=times.__getitem__)
            yield next(lines[device_id])
            times[device_id] += cost / self._weights[device_id]
            left[device_id] -= 1
            if not left[device_id]:
                del left[device_id]

    def _pop(self, device_id: str) -> T:
        line = self._lines[device_id]
        item = line.popleft()
        if not line:
            del self._lines[device_id]
        return item
