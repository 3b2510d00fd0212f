"""One request's way of choosing tokens: a chain of llama.cpp samplers. Kind: hands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import llama_cpp.llama_cpp as lib

from inglenook.engine.orders import Sampling
from inglenook.engine.worker.llama import Context, Model

#: Scores divided by less than this can leave the range of floats, and choose nonsense.
_GREEDY_BELOW: Final = 1e-6


class Sampler:
    """Chooses tokens for one sequence and remembers them for its penalties."""

    def __init__(self, model: Model, sampling: Sampling) -> None:
        """Build the chain; the order is llama.cpp's own (its ``common_params_sampling``)."""
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        self._memory_tokens = max(sampling.penalty_last_n, 0)
        for link in _links(model, sampling):
            lib.llama_sampler_chain_add(self._chain, link)

    def sample(self, context: Context, index: int) -> int:
        """Choose the token that follows batch place ``index``, and remember it."""
        return int(lib.llama_sampler_sample(self._chain, context.handle, index))

    def remember(self, tokens: Sequence[int]) -> None:
        """Take tokens as seen, so that penalties count the prompt as llama.cpp's own tools do."""
        for token in tokens[max(len(tokens) - self._memory_tokens, 0) :]:
            lib.llama_sampler_accept(self._chain, token)

    def close(self) -> None:
        """Give the chain back."""
        lib.llama_sampler_free(self._chain)


def _links(model: Model, sampling: Sampling) -> Iterator[lib.llama_sampler_p]:
    # The library leaves this one out by itself when all three are off.
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
    # The library takes its largest seed as "any"; ours mean what they say.
    yield lib.llama_sampler_init_dist(min(sampling.seed, lib.LLAMA_DEFAULT_SEED - 1))
