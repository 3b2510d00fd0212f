"""Receives the log messages of llama.cpp. Kind: hands."""

from __future__ import annotations

import ctypes
import logging
from typing import Final

import llama_cpp.llama_cpp as lib

log = logging.getLogger(__name__)

# ``enum ggml_log_level``; the binding's own table of it is out of date: it logs errors as debug
# messages.
_WARNING: Final = 3
_ERROR: Final = 4


class LibraryLog:
    """Passes warnings and errors on to our log, and drops the rest.

    Attributes:
        first_error: The first since `clear`. It names the cause; later ones name consequences.
    """

    def __init__(self) -> None:
        """Register the callback; there is one for the whole process."""
        self.first_error = ""
        # The library holds no reference that Python can see.
        self._callback = lib.llama_log_callback(self._on_message)
        lib.llama_log_set(self._callback, None)

    def clear(self) -> None:
        """Forget the first error, before a call that may fail."""
        self.first_error = ""

    def _on_message(self, level: int, text: bytes, _data: ctypes.c_void_p) -> None:
        if level not in (_WARNING, _ERROR):
            return
        line = text.decode(errors="replace").strip()
        log.warning("%s", line)
        if level == _ERROR and not self.first_error:
            # It begins with the name of a function.
            self.first_error = line.partition(": ")[2] or line


library_log: Final = LibraryLog()
