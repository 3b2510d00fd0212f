"""Sampling follows the request's parameters, seed included."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from inglenook.engine.orders import Sampling
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.decode.sampler import Sampler
from inglenook.engine.worker.llama import Model
from tests.engine.worker.toy import FIRST_BYTE, VOCAB_TOKENS
from tests.engine.worker.writing import sampling

PROMPT = [FIRST_BYTE + 11 * place % 256 for place in range(20)]


@pytest.fixture
def context(toy: Model) -> Iterator[Context]:
    """A pool in which the last batch left scores at its last place."""
    context = Context(toy, cells=256, kv_type="f16", sequences=1, threads=1)
    context.clear_batch()
    context.add(0, 0, PROMPT, output="last")
    assert context.decode() == 0
    yield context
    context.close()


def choose(
    model: Model, context: Context, how: Sampling, times: int = 20, seen: tuple[int, ...] = ()
) -> list[int]:
    """Choose again and again from the same scores."""
    sampler = Sampler(model, how)
    sampler.remember(seen)
    chosen = [sampler.sample(context, len(PROMPT) - 1) for _ in range(times)]
    sampler.close()
    return chosen


def test_temperature_0_takes_the_likeliest(toy: Model, context: Context) -> None:
    """Whatever the other parameters are."""
    (likeliest,) = set(choose(toy, context, sampling()))
    assert set(choose(toy, context, sampling(top_k=40, top_p=0.1, min_p=0.5, seed=9))) == {
        likeliest
    }


@pytest.mark.parametrize(
    "how",
    [
        sampling(temperature=2.0, top_k=1, seed=3),
        sampling(temperature=2.0, top_p=0.0, seed=3),
        sampling(temperature=2.0, min_p=1.0, seed=3),
        sampling(temperature=1e-5, seed=3),
        sampling(temperature=1e-38, seed=3),  # scores divided by it are beyond a float's range
    ],
)
def test_what_leaves_one_choice_is_greedy(toy: Model, context: Context, how: Sampling) -> None:
    """Whichever parameter leaves it."""
    assert set(choose(toy, context, how)) == set(choose(toy, context, sampling()))


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 2, 2**32 - 1])
def test_a_seed_fixes_the_choices(toy: Model, context: Context, seed: int) -> None:
    """Each seed, also the one that means "random" to the library."""
    how = sampling(temperature=1.5, seed=seed)
    assert choose(toy, context, how) == choose(toy, context, how)


def test_seeds_differ(toy: Model, context: Context) -> None:
    """Twenty choices in a row are not the same by chance."""
    runs = [choose(toy, context, sampling(temperature=1.5, seed=seed)) for seed in range(10)]
    assert len({tuple(run) for run in runs}) == 10


@pytest.mark.parametrize(("top_k", "most"), [(3, 3), (0, VOCAB_TOKENS)])
def test_top_k_is_how_many_there_are_to_choose_from(
    toy: Model, context: Context, top_k: int, most: int
) -> None:
    """0 means all tokens."""
    how = sampling(temperature=5.0, top_k=top_k, seed=1)
    assert most // 3 < len(set(choose(toy, context, how, times=300))) <= most


@pytest.mark.parametrize(
    "how",
    [
        sampling(repeat_penalty=10.0),
        sampling(presence_penalty=2.0),
        sampling(frequency_penalty=2.0),
    ],
)
def test_penalties_keep_from_saying_the_same_again(
    toy: Model, context: Context, how: Sampling
) -> None:
    """Each penalty makes the token just sampled less likely."""
    first, second, *_rest = choose(toy, context, how)
    assert first == choose(toy, context, sampling())[0]
    assert second != first


def test_penalties_count_what_was_seen_before(toy: Model, context: Context) -> None:
    """For example tokens that another engine generated."""
    (likeliest,) = set(choose(toy, context, sampling()))
    how = sampling(presence_penalty=2.0)
    assert choose(toy, context, how, 1, seen=(likeliest,)) != [likeliest]


@pytest.mark.parametrize(("last_n", "remembered"), [(0, False), (3, False), (4, True), (64, True)])
def test_penalties_look_back_so_far_and_no_further(
    toy: Model, context: Context, last_n: int, remembered: bool
) -> None:
    """The likeliest token was seen four tokens ago."""
    (likeliest,) = set(choose(toy, context, sampling()))
    how = sampling(presence_penalty=2.0, penalty_last_n=last_n)
    chosen = choose(toy, context, how, 1, seen=(likeliest, 5, 6, 7))
    assert (chosen != [likeliest]) == remembered


def test_without_penalties_nothing_is_remembered(toy: Model, context: Context) -> None:
    """A seed's choices do not depend on the prompt then."""
    how = sampling(temperature=1.5, seed=4)
    assert choose(toy, context, how, seen=tuple(PROMPT)) == choose(toy, context, how)


@pytest.mark.parametrize(
    "how",
    [
        sampling(),
        sampling(temperature=1.5, seed=4),
        sampling(temperature=0.8, top_k=40, top_p=0.95, min_p=0.05, seed=4),
        sampling(temperature=1.0, repeat_penalty=2.0, presence_penalty=0.5, seed=4),
        sampling(frequency_penalty=2.0),
    ],
)
def test_a_choice_from_all_tokens_is_the_librarys_own(
    toy: Model, context: Context, how: Sampling
) -> None:
    """Remembered or not: the same chain, the same scores, the same chance."""
    sampler = Sampler(toy, how)
    chosen = []
    for _ in range(20):
        chosen.append(sampler.choose(context.candidates(len(PROMPT) - 1)))
        sampler.remember(chosen[-1:])
    sampler.close()

    assert chosen == choose(toy, context, how)


@pytest.mark.parametrize("top_k", [0, 2, 40])
def test_a_choice_from_some_tokens_is_one_of_them(toy: Model, context: Context, top_k: int) -> None:
    """The likeliest of them without chance, each of them with enough of it."""
    place = len(PROMPT) - 1
    allowed = np.array([7, 99, 200], np.int32)
    scores = context.candidates(place)["score"]
    likeliest = allowed[scores[allowed].argmax()]
    greedy = Sampler(toy, sampling(top_k=top_k))
    random = Sampler(toy, sampling(temperature=50.0, top_k=top_k, seed=1))

    assert {greedy.choose(context.candidates(place, allowed)) for _ in range(5)} == {likeliest}
    found = {random.choose(context.candidates(place, allowed)) for _ in range(200)}
    assert found <= set(allowed)
    assert len(found) == min(top_k or 3, 3)
    assert random.choose(context.candidates(place, allowed[:1])) == 7
    greedy.close()
    random.close()


@pytest.mark.parametrize(
    "how",
    [
        sampling(temperature=1.5, seed=4),
        sampling(temperature=1.5, seed=4, presence_penalty=1.0),
        sampling(temperature=1.5, seed=4, repeat_penalty=3.0),
        sampling(temperature=1.5, seed=4, frequency_penalty=1.0),
    ],
)
def test_a_look_is_not_remembered(toy: Model, context: Context, how: Sampling) -> None:
    """A token that was looked at and not taken is as likely the next time."""
    place = len(PROMPT) - 1
    looker, chooser = Sampler(toy, how), Sampler(toy, how)
    looks = [looker.look(context, place) for _ in range(20)]
    choices = [chooser.choose(context.candidates(place)) for _ in range(20)]
    looker.close()
    chooser.close()

    assert looks == choices


def test_choosing_leaves_the_scores_as_they_are(toy: Model, context: Context) -> None:
    """A second sample is taken from the same scores."""
    place = len(PROMPT) - 1
    before = context.candidates(place)["score"].copy()
    sampler = Sampler(toy, sampling(temperature=0.5, repeat_penalty=3.0, top_k=5, seed=1))
    sampler.remember(PROMPT)
    sampler.choose(context.candidates(place))
    sampler.close()

    assert (context.candidates(place)["score"] == before).all()
    assert (context.candidates(place)["token"] == np.arange(VOCAB_TOKENS)).all()
