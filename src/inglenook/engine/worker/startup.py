"""Loads the model that the daemon orders, and starts the engine's loop. Kind: hands."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import llama_cpp
import llama_cpp.llama_cpp as lib

from inglenook.common.sequences import pool_sequences
from inglenook.engine.cores import compute_cores, pin_to
from inglenook.engine.events import LoadFailed, Progress, Ready, WorkerHello
from inglenook.engine.messages import PIPE_VERSION, Order
from inglenook.engine.orders import LoadModel, PrefixCache
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.decode.batcher import Batcher
from inglenook.engine.worker.engine_loop import EngineLoop
from inglenook.engine.worker.llama import Model, ModelRefused
from inglenook.engine.worker.pipe import ParentGone, Pipe
from inglenook.engine.worker.prefix.fingerprint import file_id, fingerprint
from inglenook.engine.worker.prefix.store import Store
from inglenook.engine.worker.prompt.jinja import TemplateRefused
from inglenook.engine.worker.prompt.prompt import PromptMaker
from inglenook.engine.worker.prompt.prompt_queue import PromptQueue
from inglenook.engine.worker.scheduler.step_budget import StepBudget
from inglenook.engine.worker.speculation.draft import DRAFT_TOKENS_MAX
from inglenook.engine.worker.structured.grammars import Grammars

#: Least increase of progress that is sent; each is a system call on both sides.
_PROGRESS_STEP = 0.02

#: Tokens of the warm-up steps: one that loads all weights into memory, some that decode, one that
#: prefills; two seconds on a small board.
_WARM_UP_TOKENS = (2, 1, 1, 1, 16)

#: Longest time for saving when the daemon exits or unloads the model, seconds; together with the
#: step before it, less than the daemon's own timeout.
_LAST_WRITES_S = 1.0


def serve(sock: socket.socket, allowed: set[int]) -> None:
    """Load the model the daemon orders, then generate answers until the daemon closes the pipe.

    Args:
        sock: The engine's end of the socket pair.
        allowed: Cores this process may use; its mask may have fewer, see `allowed_cores`.
    """
    pipe = Pipe(sock)
    try:
        pipe.send(WorkerHello(PIPE_VERSION))
        orders: list[Order] = []
        while not orders:
            # An order with a long template arrives in several pieces.
            orders = pipe.orders(None)
        [load, *early] = orders
        if not isinstance(load, LoadModel) or early:
            return
        try:
            loop = _load(pipe, load, allowed)
        except (ModelRefused, TemplateRefused) as exc:
            pipe.send(LoadFailed(str(exc)))
            return
    except ParentGone:
        return
    try:
        loop.run()
    except ParentGone:
        loop.close(_LAST_WRITES_S)


def _load(pipe: Pipe, load: LoadModel, allowed: set[int]) -> EngineLoop:
    started_s = time.perf_counter()
    cores = compute_cores(allowed=allowed)
    threads = load.threads or len(cores)
    sent = 0.0

    def on_progress(fraction: float) -> bool:
        nonlocal sent
        if fraction - sent >= _PROGRESS_STEP:
            sent = fraction
            try:
                pipe.send(Progress(min(fraction, 1.0)))
            except ParentGone:
                # The library would swallow the exception; the next `send` raises it again.
                return False
        return True

    model_id = _read_model_id(load.path)
    model = Model(load.path, on_progress, use_mmap=load.use_mmap)
    prompts = PromptMaker(model, load.chat_template)
    prefix = load.prefix
    own = os.sched_getaffinity(0)
    # The store's thread inherits the mask; a slow core is enough for it.
    pin_to(allowed)
    store = _open_store(load, prefix, states=not model.trimmable) if prefix else None
    if threads > 1 and own != allowed:
        # OpenMP chose this mask, and has others for the threads it will start.
        pin_to(own)
    elif threads <= len(cores):
        # Before the context is made, whose threads inherit the mask.
        pin_to(cores)
    context = _make_context(model, load, threads)
    budget = StepBudget(load.step_budget_s)
    _warm_up(context, budget)
    batcher = Batcher(
        model,
        context,
        prompts.template.thoughts,
        sequences=load.sequences,
        budget=budget,
        store=store,
        durable=prefix is not None and prefix.disk_bytes > 0,
        speculate=load.speculate,
    )
    prompts.tokens_max = batcher.request_tokens_max
    load_s = time.perf_counter() - started_s
    pipe.send(
        Ready(
            context.cells,
            batcher.request_tokens_max,
            threads,
            load_s,
            model_id,
            prompts.template.fitting.writes_date,
        )
    )
    return EngineLoop(
        pipe,
        batcher,
        # Slow cores are enough for it, and have no compute threads.
        PromptQueue(prompts, (allowed - cores) or allowed, marks=not model.trimmable),
        context=context,
        budget=budget,
        store=store,
        grammars=Grammars(model, prompts.template.thoughts, pipe),
        load=load,
        threads=threads,
    )


def _read_model_id(path: str) -> str:
    """Identify the file, before it is loaded, which reads most of it into memory."""
    try:
        return file_id(Path(path)).hex()
    except OSError as exc:
        raise ModelRefused(f"it cannot be read: {exc.strerror}") from exc


def _make_context(model: Model, load: LoadModel, threads: int) -> Context:
    return Context(
        model,
        cells=load.context_tokens,
        kv_type=load.kv_type,
        sequences=pool_sequences(load.sequences, running_states=model.running_states),
        threads=threads,
        ubatch_tokens=load.ubatch_tokens,
        flash_attention=load.flash_attention,
        outputs=load.sequences * (1 + DRAFT_TOKENS_MAX) if load.speculate else 0,
    )


def _open_store(load: LoadModel, prefix: PrefixCache, *, states: bool) -> Store:
    return Store(
        folder=Path(prefix.folder),
        # Everything that a state's bytes depend on; another build may have another layout.
        fingerprint=fingerprint(
            Path(load.path),
            kv_type=load.kv_type,
            flash_attention=load.flash_attention,
            library=llama_cpp.__version__,
            state_version=int(lib.LLAMA_STATE_SEQ_VERSION),
        ),
        ram_bytes=prefix.ram_bytes,
        disk_bytes=prefix.disk_bytes,
        states=states,
    )


def _warm_up(context: Context, budget: StepBudget) -> None:
    """Load the weights into memory and measure steps, so that the first prompt stalls no stream.

    Mapped files are read from the card page by page at first use, so the first step does not count.
    """
    for tokens in _WARM_UP_TOKENS:
        context.clear_batch()
        context.add(0, 0, [0] * tokens, output="last")
        started_s = time.perf_counter()
        code = context.decode()
        if code != 0:
            raise ModelRefused(f"llama.cpp loaded it but could not compute with it (code {code})")
        step_s = time.perf_counter() - started_s
        context.forget(0)
        if tokens == 1:
            budget.measured(decoding=1, prefill=0, step_s=step_s)
        elif tokens == _WARM_UP_TOKENS[-1]:
            budget.measured(decoding=0, prefill=tokens, step_s=step_s)
