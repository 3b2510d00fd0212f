"""Queues of requests, fair between devices. Kind: rules.

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


class FairClock:
    """Virtual time of every device, one for all queues: service by one engine counts at the others.

    Attributes:
        times: By device; grows by the service it gets, in tokens, over its weight.
    """

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self._weights: dict[str, float] = {}
        self._now = 0.0

    def arrive(self, device_id: str, weight: float | None, *, idle: bool) -> None:
        """A device has one more item in a queue; ``idle`` if that queue had none of it."""
        if idle:
            # A line that is new, or was empty for a while, begins where the others are now.
            self.times[device_id] = max(self.times.get(device_id, 0.0), self._now)
        self.times.setdefault(device_id, self._now)
        if weight is not None:
            self._weights[device_id] = weight
        self._weights.setdefault(device_id, 1.0)

    def serve(self, device_id: str, cost: float) -> None:
        """A device's turn has come; charge it ``cost`` in advance."""
        self._now = max(self._now, self.times[device_id])
        self.charge(device_id, cost)

    def charge(self, device_id: str, cost: float) -> None:
        """Count ``cost`` tokens of service; below zero gives back what was charged too much."""
        if device_id in self.times:
            self.times[device_id] += self.share(device_id, cost)

    def share(self, device_id: str, cost: float) -> float:
        """By how much ``cost`` tokens move a device's time."""
        return cost / self._weights[device_id]

    def forget_idle(self, busy: Collection[str]) -> None:
        """Drop devices that are not ahead of the others.

        Args:
            busy: Devices to keep all the same: they wait, or their service is yet to be charged.
        """
        for device_id in [d for d in self.times if d not in busy]:
            if self.times[device_id] <= self._now:
                del self.times[device_id], self._weights[device_id]


class FairQueue(Generic[T]):
    """Items that wait, one line a device."""

    def __init__(self, clock: FairClock | None = None) -> None:
        """Order devices by ``clock``, which queues of other engines may share."""
        self.clock = clock or FairClock()
        self._lines: dict[str, deque[T]] = {}

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def waiting(self, device_id: str) -> int:
        """Number of waiting items of a device."""
        return len(self._lines.get(device_id, ()))

    def put(self, device_id: str, item: T, *, weight: float = 1.0) -> None:
        """Put ``item`` at the end of its device's line.

        Args:
            device_id: Whose it is.
            item: What waits.
            weight: A device of weight 2 gets twice the service of one of weight 1.
        """
        self.clock.arrive(device_id, weight, idle=device_id not in self._lines)
        self._lines.setdefault(device_id, deque()).append(item)

    def put_back(self, device_id: str, item: T, *, age: Callable[[T], float]) -> None:
        """Put an item that was taken into its line again; it stays charged.

        Args:
            device_id: Whose it is.
            item: What waits again.
            age: Items of a line that are less by this stay before it.
        """
        insort(self._lines.setdefault(device_id, deque()), item, key=age)
        self.clock.arrive(device_id, None, idle=False)

    def next_device(self) -> str | None:
        """The device whose turn it is; None if none waits."""
        return min(self._lines, key=self.clock.times.__getitem__, default=None)

    def take(self, cost: float) -> T | None:
        """Take the next item, and charge its device ``cost`` in advance.

        Args:
            cost: What serving it is expected to take, in tokens; `FairClock.charge` corrects it.

        Returns:
            None if the queue is empty.
        """
        device_id = self.next_device()
        if device_id is None:
            return None
        self.clock.serve(device_id, cost)
        return self._pop(device_id)

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

    @property
    def devices(self) -> Collection[str]:
        """Devices that have something waiting."""
        return self._lines.keys()

    def in_order(self, cost: float) -> Iterator[T]:
        """Everything that waits, in the order it would be taken if each took ``cost`` tokens."""
        times = dict(self.clock.times)
        lines = {device_id: iter(line) for device_id, line in self._lines.items()}
        left = {device_id: len(line) for device_id, line in self._lines.items()}
        while left:
            device_id = min(left, key=times.__getitem__)
            yield next(lines[device_id])
            times[device_id] += self.clock.share(device_id, cost)
            left[device_id] -= 1
            if not left[device_id]:
                del left[device_id]

    def _pop(self, device_id: str) -> T:
        line = self._lines[device_id]
        item = line.popleft()
        if not line:
            del self._lines[device_id]
        return item
