"""The engine's one loop: take orders, compute a step, send what it made. Kind: hands."""

from __future__ import annotations

import logging
import select
import socket
import time
from collections import deque

from inglenook.engine.frames import (
    EVENT_BYTES_MAX,
    ORDER_BYTES_MAX,
    BadFrame,
    FrameReader,
    frame,
)
from inglenook.engine.orders import (
    NOT_A_MESSAGE,
    PIPE_VERSION,
    Cancel,
    Ended,
    Event,
    Finish,
    Hello,
    Load,
    LoadFailed,
    Order,
    Progress,
    Ready,
    Refusal,
    Refused,
    Start,
    Started,
    Step,
    decode_order,
    encode,
)
from inglenook.engine.worker.batcher import Batcher
from inglenook.engine.worker.budget import StepBudget
from inglenook.engine.worker.cores import compute_cores, pin_to
from inglenook.engine.worker.llama import Context, Model, ModelRefused
from inglenook.engine.worker.prompt import PromptMaker, TemplateRefused

log = logging.getLogger(__name__)

_READ_BYTES = 65536

#: A loading bar needs no more; each is a system call on both sides.
_PROGRESS_STEP = 0.02


class ParentGone(Exception):
    """The daemon closed its end or died; there is nobody left to work for."""


class Pipe:
    """The engine's end of the socket pair."""

    def __init__(self, sock: socket.socket) -> None:
        """Take the connected socket over."""
        self._sock = sock
        self._reader = FrameReader(ORDER_BYTES_MAX)

    def send(self, *events: Event) -> None:
        """Send events, in one write; waits while the daemon does not read.

        Raises:
            ParentGone: If nobody is there.
        """
        data = b"".join(frame(encode(event), EVENT_BYTES_MAX) for event in events)
        try:
            self._sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as exc:
            raise ParentGone from exc

    def orders(self, *, wait: bool) -> list[Order]:
        """Take what has come in; with ``wait``, wait for something first.

        Raises:
            ParentGone: If the daemon closed its end, or sent what is no order of ours.
        """
        orders: list[Order] = []
        while select.select([self._sock], [], [], None if wait and not orders else 0)[0]:
            try:
                data = self._sock.recv(_READ_BYTES)
                payloads = self._reader.feed(data)
                orders += [decode_order(payload) for payload in payloads]
            except (ConnectionResetError, BadFrame, *NOT_A_MESSAGE) as exc:
                raise ParentGone from exc
            if not data:
                raise ParentGone
        return orders


def serve(sock: socket.socket) -> None:
    """Load the model the daemon names, then write answers until the daemon goes away."""
    pipe = Pipe(sock)
    try:
        pipe.send(Hello(PIPE_VERSION))
        [load, *early] = pipe.orders(wait=True)
        if not isinstance(load, Load) or early:
            return
        try:
            batcher, prompts = _load(pipe, load)
        except (ModelRefused, TemplateRefused) as exc:
            pipe.send(LoadFailed(str(exc)))
            return
        _answer(pipe, batcher, prompts)
    except ParentGone:
        return


def _load(pipe: Pipe, load: Load) -> tuple[Batcher, PromptMaker]:
    started_s = time.perf_counter()
    cores = compute_cores()
    threads = load.threads or len(cores)
    if load.threads is None:
        # Before the context exists: its threads inherit the mask.
        pin_to(cores)
    told = 0.0

    def tell(fraction: float) -> bool:
        nonlocal told
        if fraction - told >= _PROGRESS_STEP:
            told = fraction
            try:
                pipe.send(Progress(min(fraction, 1.0)))
            except ParentGone:
                # Raised here, it would be lost in the library; the next `send` raises it again.
                return False
        return True

    model = Model(load.path, tell)
    prompts = PromptMaker(model, load.chat_template)
    context = Context(
        model,
        cells=load.context_tokens,
        kv_type=load.kv_type,
        sequences=load.sequences,
        threads=threads,
    )
    _warm_up(context)
    budget = StepBudget(load.step_budget_s)
    batcher = Batcher(model, context, sequences=load.sequences, budget=budget)
    load_s = time.perf_counter() - started_s
    pipe.send(Ready(context.cells, batcher.request_tokens_max, threads, load_s))
    return batcher, prompts


def _warm_up(context: Context) -> None:
    """Read the weights in now: mapped files come from the card page by page at first use."""
    context.clear_batch()
    context.add(0, 0, [0], output=True)
    code = context.decode()
    if code != 0:
        raise ModelRefused(f"llama.cpp loaded it but could not compute with it (code {code})")
    context.forget(0)


def _answer(pipe: Pipe, batcher: Batcher, prompts: PromptMaker) -> None:
    newcomers: deque[Start] = deque()
    while True:
        for order in pipe.orders(wait=not batcher.busy and not newcomers):
            if isinstance(order, Start):
                newcomers.append(order)
            elif isinstance(order, Cancel):
                _cancel(pipe, batcher, newcomers, order.job)
        if newcomers:
            # One a step: tokenising a long prompt takes a tenth of a second, and others read along.
            pipe.send(*_begin(newcomers.popleft(), batcher, prompts))
        if batcher.busy:
            outputs, ended = batcher.step()
            # Sent even when empty: a long prompt makes no text for a while, but must not look dead.
            pipe.send(Step(tuple(outputs)), *ended)


def _cancel(pipe: Pipe, batcher: Batcher, newcomers: deque[Start], job: int) -> None:
    for start in newcomers:
        if start.job == job:
            newcomers.remove(start)
            produced = len(start.produced)
            pipe.send(Ended(job, Finish.CANCELLED, "", produced, 0, 0.0, 0.0))
            return
    batcher.cancel(job)


def _begin(start: Start, batcher: Batcher, prompts: PromptMaker) -> list[Started | Refused | Step]:
    try:
        tokens, thinking = prompts.tokens(start.messages)
    except TemplateRefused as exc:
        return [Refused(start.job, Refusal.TEMPLATE, detail=exc.why)]
    return batcher.submit(start, tokens, thinking=thinking)
