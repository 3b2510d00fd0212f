"""Reads little-endian numbers and text from a file that may lie about its lengths. Kind: hands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NoReturn

from inglenook.models.info import BadModelError

# Far above what models need: the starter's 49,152 tokens with their merges take 1.8 MB, and the
# largest vocabularies have five times as many.
MAX_HEADER_BYTES = 64 * 2**20
MAX_TEXT_BYTES = 4 * 2**20  # of all texts that are kept, together


class BoundedReader:
    """Reads forward, never past the file's end or ``MAX_HEADER_BYTES``.

    Every length is checked before anything of that size is read or allocated. All methods raise
    ``BadModelError`` naming ``what`` they were reading, and ``OSError`` from the file.

    Attributes:
        offset: Bytes read or skipped so far.
    """

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self.offset = 0
        self._file = file
        self._size_bytes = size_bytes
        self._text_bytes = 0

    def take(self, count: int, what: str) -> bytes:
        """Read exactly ``count`` bytes."""
        self._advance(count, what)
        data = self._file.read(count)
        if len(data) < count:
            self._cut_short(what)  # it shrank while we read
        return data

    def skip(self, count: int, what: str) -> None:
        """Skip ``count`` bytes."""
        self._advance(count, what)
        self._file.seek(self.offset)

    def u32(self, what: str) -> int:
        """Read an unsigned number of 4 bytes."""
        return int.from_bytes(self.take(4, what), "little")

    def u64(self, what: str) -> int:
        """Read an unsigned number of 8 bytes."""
        return int.from_bytes(self.take(8, what), "little")

    def count(self, what: str, *, most: int, least_bytes: int) -> int:
        """Read a count of items that take ``least_bytes`` or more each."""
        number = self.u64(f"the number of {what}")
        if number > most:
            raise BadModelError(
                f"claims to have {number:,} {what}, where {most:,} is the most we read"
            )
        self._require(number * least_bytes, f"the first of {number:,} {what}")
        return number

    def text(self, what: str, *, most_bytes: int = MAX_TEXT_BYTES) -> str:
        """Read a length of 8 bytes and that many bytes of UTF-8."""
        length = self.u64(f"the length of {what}")
        self._require(length, what)
        self._text_bytes += length
        if length > most_bytes or self._text_bytes > MAX_TEXT_BYTES:
            raise BadModelError(f"has too much text in {what}: {length:,} bytes")
        try:
            return self.take(length, what).decode()
        except UnicodeDecodeError:
            raise BadModelError(f"is damaged: {what} is not UTF-8") from None

    def texts(self, count: int, what: str) -> Iterator[bytes]:
        """Read ``count`` texts in turn, undecoded; the iterator must be exhausted."""
        # A vocabulary has hundreds of thousands, so there are no calls of our own in the loop.
        self._require(count * 8, what)
        read, offset = self._file.read, self.offset
        end = min(self._size_bytes, MAX_HEADER_BYTES)
        for _ in range(count):
            length = int.from_bytes(read(8), "little")
            offset += 8 + length
            if offset > end:
                break
            yield read(length)
        self._advance(offset - self.offset, what)

    def _advance(self, count: int, what: str) -> None:
        self._require(count, what)
        self.offset += count

    def _require(self, count: int, what: str) -> None:
        if count > self._size_bytes - self.offset:
            self._cut_short(what)
        if count > MAX_HEADER_BYTES - self.offset:
            raise BadModelError(f"has a header of more than {MAX_HEADER_BYTES:,} bytes")

    def _cut_short(self, what: str) -> NoReturn:
        raise BadModelError(
            f"is cut short or damaged: its {self._size_bytes:,} bytes end before {what}"
        )
