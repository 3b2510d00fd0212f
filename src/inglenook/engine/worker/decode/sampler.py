"""Sampling of one request's tokens: a chain of llama.cpp samplers. Kind: hands."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import Final

import llama_cpp.llama_cpp as lib

from inglenook.engine.orders import Sampling
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.llama import Candidates, Model

#: Temperatures below this are greedy: scores divided by them can exceed the range of floats.
_GREEDY_BELOW: Final = 1e-6


class Sampler:
    """Sampler chain of one sequence, with the tokens that its penalties count."""

    def __init__(self, model: Model, sampling: Sampling) -> None:
        """Build the chain; the order is llama.cpp's own (its ``common_params_sampling``)."""
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        self._memory_tokens = max(sampling.penalty_last_n, 0)
        penalties = sampling.repeat_penalty, sampling.presence_penalty, sampling.frequency_penalty
        self._penalises = penalties != (1, 0, 0)
        for link in _links(model, sampling):
            lib.llama_sampler_chain_add(self._chain, link)

    def sample(self, context: Context, index: int) -> int:
        """Sample the token after batch row ``index``, and remember it."""
        return int(lib.llama_sampler_sample(self._chain, context.handle, index))

    def look(self, context: Context, index: int) -> int:
        """Sample the token after batch row ``index`` without remembering it."""
        if self._penalises:
            return self.choose(context.candidates(index))
        # Without penalties nothing is remembered, and one call for all is three times as fast.
        return self.sample(context, index)

    def choose(self, candidates: Candidates) -> int:
        """Sample one of these candidates without remembering it; the library reorders them."""
        data = candidates.ctypes.data_as(ctypes.POINTER(lib.llama_token_data))
        array = lib.llama_token_data_array(data, len(candidates), -1, False)
        lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def take(self, token: int) -> bool:
        """Remember a token that was not sampled here; always True, as no token is excluded."""
        self.remember((token,))
        return True

    def remember(self, tokens: Sequence[int]) -> None:
        """Add tokens to those that the penalties count."""
        for token in tokens[max(len(tokens) - self._memory_tokens, 0) :]:
            lib.llama_sampler_accept(self._chain, token)

    def close(self) -> None:
        """Free the chain."""
        lib.llama_sampler_free(self._chain)


def _links(model: Model, sampling: Sampling) -> Iterator[lib.llama_sampler_p]:
    # The library itself leaves this one out if all three are off.
    yield lib.llama_sampler_init_penalties(
        model.vocab_tokens,
        sampling.penalty_last_n,
        sampling.repeat_penalty,
        sampling.frequency_penalty,
        sampling.presence_penalty,
    )
    if sampling.temperature < _GREEDY_BELOW:
        yield lib.llama_sampler_init_greedy()
        return
    if sampling.top_k > 0:
        yield lib.llama_sampler_init_top_k(sampling.top_k)
    if sampling.top_p < 1:
        yield lib.llama_sampler_init_top_p(sampling.top_p, 1)
    if sampling.min_p > 0:
        yield lib.llama_sampler_init_min_p(sampling.min_p, 1)
    yield lib.llama_sampler_init_temp(sampling.temperature)
    # The library's largest seed means "random"; here every seed is a seed.
    yield lib.llama_sampler_init_dist(min(sampling.seed, lib.LLAMA_DEFAULT_SEED - 1))
