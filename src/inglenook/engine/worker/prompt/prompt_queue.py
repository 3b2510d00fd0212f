"""Requests whose prompts are being made: short ones at once, long ones in a thread. Kind: hands.

A slow board takes half a second to render and tokenise a long conversation. That happens in a
thread, one conversation at a time, while the engine loop continues.
"""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Final, NamedTuple

from inglenook.common.errors import EngineError
from inglenook.engine.cores import pin_to
from inglenook.engine.orders import Prefill, StartJob
from inglenook.engine.worker.prompt.jinja import TemplateOptions
from inglenook.engine.worker.prompt.prompt import Prompt, PromptMaker
from inglenook.engine.worker.prompt.state_positions import (
    StatePositions,
    find_mark_ahead,
    find_marks,
)

#: Conversations up to this length are tokenised between two steps: 3 ms of an x86 core.
_SHORT_CHARACTERS: Final = 8192

#: A template's work on each message, in characters. A template that searches all messages for each
#: one (Gemma 4's) takes 2 s to render a thousand short ones.
_MESSAGE_CHARACTERS: Final = 64

#: A main thread has less stack than that only where an administrator has configured it; then all
#: prompts are made in the other thread.
_MAIN_STACK_BYTES: Final = 8 * 2**20

#: Address space for the thread's stack. The library's recursion takes 4 MB of it for the longest
#: possible piece, see `pieces`; the rest is a reserve for other libraries and processors.
STACK_BYTES: Final = 64 * 2**20

#: How long one conversation may take; a small board takes one or two seconds. A template can loop
#: for ever, and the engine loop, which continues meanwhile, would hide that from the daemon.
_DEADLINE_S: Final = 60.0


class RequestPrompt(NamedTuple):
    """A request, and its prompt or the reason that it has none."""

    request: StartJob | Prefill
    prompt: Future[Prompt]


class PromptQueue:
    """Makes prompts in order of arrival; a short one does not wait for a long one.

    All methods belong to the engine thread.
    """

    def __init__(
        self,
        prompts: PromptMaker,
        cores: set[int],
        *,
        marks: bool = False,
        deadline_s: float = _DEADLINE_S,
    ) -> None:
        """Make them with ``prompts``, long ones on ``cores``; with ``marks``, find those too."""
        self._prompts = prompts
        self._finds_marks = marks
        self._cores = cores
        self._deadline_s = deadline_s
        stack_bytes, _hard = resource.getrlimit(resource.RLIMIT_STACK)
        enough = stack_bytes == resource.RLIM_INFINITY or stack_bytes >= _MAIN_STACK_BYTES
        self._short_characters = _SHORT_CHARACTERS if enough else -1
        self._short: deque[StartJob | Prefill] = deque()
        self._long: deque[StartJob | Prefill] = deque()
        self._making: RequestPrompt | None = None
        self._cancelled = False
        self._thread: threading.Thread | None = None
        self._began_s = 0.0
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def __len__(self) -> int:
        """Number of requests without a prompt."""
        return len(self._short) + len(self._long) + (self._making is not None)

    def fileno(self) -> int:
        """The file number that is readable when `poll` has something to do."""
        return self._bell

    def poll(self) -> None:
        """Clear the eventfd; call `take` then."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)

    @property
    def pressing(self) -> bool:
        """Whether `take` has something to do now, and not only once the thread is done."""
        if self._making is None:
            return bool(self._short or self._long)
        return bool(self._short) or self._making.prompt.done()

    def add(self, request: StartJob | Prefill) -> None:
        """Add a request, whose prompt is made in its turn."""
        size = sum(len(message.content) + _MESSAGE_CHARACTERS for message in request.messages)
        (self._short if size <= self._short_characters else self._long).append(request)

    def cancel(self, job: int) -> StartJob | Prefill | None:
        """Remove the job's request if it has no prompt yet, and return it."""
        for waiting in (self._short, self._long):
            for request in waiting:
                if request.job == job:
                    waiting.remove(request)
                    return request
        if self._making is not None and self._making.request.job == job and not self._cancelled:
            # The thread cannot be stopped; its prompt is discarded.
            self._cancelled = True
            return self._making.request
        return None

    def take(self) -> RequestPrompt | None:
        """One request whose prompt is done or refused; also begins the next long one.

        Raises:
            EngineError: If one takes longer than any template should; only the end of this process
                can stop it.
        """
        done = self._done()
        if self._making is None and self._long:
            self._begin(self._long.popleft())
        if done is None and self._short:
            done = RequestPrompt(self._short.popleft(), Future())
            self._make(done)
        return done

    def forget(self) -> None:
        """Discard cached pieces of prompts; waiting requests stay."""
        self._prompts.forget()

    def close(self, deadline_s: float) -> None:
        """Wait for the thread, for ``deadline_s`` seconds at most."""
        if self._thread is not None:
            self._thread.join(deadline_s)
        if self._thread is None or not self._thread.is_alive():
            os.close(self._bell)

    def _done(self) -> RequestPrompt | None:
        """The request whose prompt the thread has made; None if there is none, or cancelled."""
        making = self._making
        if making is None:
            return None
        if not making.prompt.done():
            if time.monotonic() - self._began_s > self._deadline_s:
                raise EngineError(f"a prompt was not made within {self._deadline_s:.0f} s")
            return None
        self._making = None
        if self._thread is not None:
            # It only has to write to the eventfd.
            self._thread.join()
            self._thread = None
        return None if self._cancelled else making

    def _begin(self, request: StartJob | Prefill) -> None:
        self._making = made = RequestPrompt(request, Future())
        self._cancelled = False
        self._began_s = time.monotonic()
        before = threading.stack_size(STACK_BYTES)
        try:
            self._thread = threading.Thread(
                target=self._run, args=(made,), name="prompt", daemon=True
            )
            self._thread.start()
        except RuntimeError:
            # No room for another thread, or for its stack: the engine loop waits for once.
            self._thread = None
            self._make(made)
        finally:
            threading.stack_size(before)

    def _run(self, made: RequestPrompt) -> None:
        # This thread was started on the core of the first compute thread.
        with contextlib.suppress(OSError):
            pin_to(self._cores)
        self._make(made)
        os.eventfd_write(self._bell, 1)

    def _make(self, made: RequestPrompt) -> None:
        request = made.request
        try:
            make = (
                self._prompts.prompt if isinstance(request, StartJob) else self._prompts.beginning
            )
            options = self._prompts.options(request)
            prompt = make(request.messages, options)
            if self._finds_marks:
                prompt = prompt._replace(marks=self._marks(prompt.tokens, request, options))
        except BaseException as exc:  # noqa: BLE001 raised again where it is taken
            made.prompt.set_exception(exc)
        else:
            made.prompt.set_result(prompt)

    def _marks(
        self, tokens: list[int], request: StartJob | Prefill, options: TemplateOptions
    ) -> StatePositions:
        find = find_marks if isinstance(request, StartJob) else find_mark_ahead
        return find(
            tokens, request.messages, lambda other: self._prompts.prompt(other, options).tokens
        )
