"""A board's best setting is found on made-up boards, whose speed is a formula."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inglenook.engine.search import MARGIN, Search, fewer_threads, score, workloads
from inglenook.engine.trial import Speed, Trial, TrialSetting, Workload

#: How fast a made-up board is; None if the setting crashes there.
Board = Callable[[Trial], Speed | None]


def speed(read: float, write: float = 10.0, many: float = 20.0) -> Speed:
    return Speed(read, write, many)


def by_threads(best: int) -> Board:
    """A board on which every thread above ``best`` is in the others' way."""

    def measure(trial: Trial) -> Speed:
        threads = trial.setting.threads
        times = min(threads, best) - 0.3 * max(threads - best, 0)
        return speed(100 * times, 10 * times, 20 * times)

    return measure


def search(cores: int, board: Board, trials: int | None = None) -> tuple[Search, list[Trial]]:
    """Let a search run to its end, or for so many trials; and what it wanted."""
    found = Search(cores)
    wanted: list[Trial] = []
    while found.wanted is not None and len(wanted) != trials:
        wanted.append(found.wanted)
        found.tell(board(found.wanted))
    return found, wanted


@pytest.mark.parametrize("best", [8, 7, 6, 4])
def test_the_best_number_of_threads_is_found(best: int) -> None:
    """All cores, one fewer, where memory is the bound, or one a real core."""
    found, _ = search(8, by_threads(best))

    assert found.best == TrialSetting(threads=best)


@pytest.mark.parametrize(
    ("cores", "counts"),
    [(1, []), (2, [1]), (3, [2, 1]), (4, [3, 2, 1]), (6, [5, 4, 3, 1]), (8, [7, 6, 4, 2])],
)
def test_which_thread_counts_are_tried(cores: int, counts: list[int]) -> None:
    """Most first, so that the hopeless end is never reached."""
    assert fewer_threads(cores) == counts


def test_what_can_only_get_worse_is_not_tried() -> None:
    """One thread on a Pi takes four times as long to measure, and nobody would want it."""
    _, wanted = search(4, by_threads(4))

    assert {trial.setting.threads for trial in wanted} == {4, 3}


@pytest.mark.parametrize(
    ("better", "expected"),
    [
        (TrialSetting(4, flash_attention="off"), TrialSetting(4, flash_attention="off")),
        (TrialSetting(4, ubatch_tokens=128), TrialSetting(4, ubatch_tokens=128)),
        (TrialSetting(4, ubatch_tokens=64), TrialSetting(4, ubatch_tokens=64)),
    ],
)
def test_every_question_can_be_won(better: TrialSetting, expected: TrialSetting) -> None:
    """And the winner holds against the default."""
    found, _ = search(4, lambda trial: speed(1200 if trial.setting == better else 1000))

    assert found.best == expected
    assert found.gain == (speed(1000), speed(1200))


def test_winners_of_different_questions_are_put_together() -> None:
    """Three threads and small passes, each better by a tenth."""

    def board(trial: Trial) -> Speed:
        times = (1.4 if trial.setting.threads == 3 else 1) * (
            1.4 if trial.setting.ubatch_tokens == 128 else 1
        )
        return speed(1000 * times)

    found, _ = search(4, board)

    assert found.best == TrialSetting(3, 128)


def test_three_percent_are_no_win() -> None:
    """The default is simpler, and the next measurement may say otherwise."""
    found, _ = search(4, lambda trial: speed(*[100 if trial.setting.threads == 4 else 102.9] * 3))

    assert found.best == found.default


def test_a_lucky_run_is_no_win() -> None:
    """Whoever seems better is measured again, in turns with the best so far."""
    runs: dict[Trial, int] = {}

    def board(trial: Trial) -> Speed:
        runs[trial] = runs.get(trial, 0) + 1
        lucky = trial.setting.threads == 3 and runs[trial] == 1
        return speed(150 if lucky else 100)

    found, wanted = search(4, board)
    again = [trial.setting.threads for trial in wanted[5:9]]

    assert found.best == found.default
    assert again == [4, 3, 4, 3]


def test_a_board_that_warms_up_keeps_the_default() -> None:
    """Each trial is slower than the one before by a percent; none is better for being early."""
    trials = 0

    def board(_trial: Trial) -> Speed:
        nonlocal trials
        trials += 1
        return speed(*[100 * 0.99**trials] * 3)

    found, _ = search(4, board)

    assert (found.best, found.kv_type) == (found.default, "f16")


def test_a_board_that_speeds_up_keeps_the_default() -> None:
    """A neighbour leaves in the middle: what is measured after it is no better for that."""
    trials = 0

    def board(_trial: Trial) -> Speed:
        nonlocal trials
        trials += 1
        return speed(*[100 if trials < 4 else 150] * 3)

    found, _ = search(4, board)

    assert (found.best, found.kv_type) == (found.default, "f16")


def test_what_crashes_is_left_out_and_told() -> None:
    """The library asserts on flash attention; the rest is measured."""
    found, _ = search(
        4, lambda trial: None if trial.setting.flash_attention == "off" else speed(1000)
    )
    failed = [result.trial.setting for result in found.results if result.speed is None]

    assert found.best == found.default
    assert failed == [TrialSetting(4, flash_attention="off")]
    assert any(result.trial.setting.ubatch_tokens == 256 for result in found.results)


def test_what_crashes_now_and_then_does_not_win() -> None:
    """Fast at first; the second run kills it."""
    runs = 0

    def board(trial: Trial) -> Speed | None:
        nonlocal runs
        if trial.setting.threads == 4:
            return speed(100)
        runs += 1
        return speed(1000) if runs == 1 else None

    found, _ = search(4, board)

    assert found.best == found.default


def test_a_default_that_cannot_be_measured_is_the_end() -> None:
    """There is nothing to compare with."""
    found, wanted = search(4, lambda _trial: None)

    assert (len(wanted), found.results, found.gain) == (1, [], None)


@pytest.mark.parametrize(("times", "kv_type"), [(1.2, "q8_0"), (1.02, "f16"), (0.8, "f16")])
def test_the_kv_type_is_judged_in_a_long_conversation(times: float, kv_type: str) -> None:
    """It costs nothing in a short one; and it is told apart from what is applied."""

    def board(trial: Trial) -> Speed:
        deep = trial.workload.read_tokens == 1000
        q8_0 = trial.setting.kv_type == "q8_0"
        return speed(*[1000 * (times if q8_0 and deep else 0.1 if q8_0 else 1)] * 3)

    found, _ = search(4, board)

    assert found.kv_type == kv_type
    assert found.best == found.default
    assert found.deep_tokens == 1000
    assert found.kv_gain is not None
    assert score(found.kv_gain[1]) == pytest.approx(times * score(found.kv_gain[0]))


def test_the_pool_type_is_tried_with_the_best_of_the_rest() -> None:
    """Not with the default, which nobody will run."""
    found, wanted = search(8, by_threads(6))

    assert {t.setting.threads for t in wanted if t.setting.kv_type == "q8_0"} == {6}
    assert found.kv_gain is not None


@pytest.mark.parametrize("trials", range(1, 20))
def test_whenever_it_is_stopped_the_best_has_won(trials: int) -> None:
    """Time can run out anywhere; what was measured once only is not kept."""
    found, wanted = search(8, by_threads(6), trials)
    best = [trial for trial in wanted if trial.setting == found.best]

    assert found.best == found.default or len(best) >= 2
    assert found.question


@pytest.mark.parametrize(
    ("probe", "workload", "deep_tokens"),
    [
        (speed(1500, 100), Workload(512, 3, 48), 1000),
        (speed(240, 80), Workload(192, 1, 48), 1000),
        (speed(50, 8), Workload(64, 1, 8), 250),
        (speed(3, 0.5), Workload(64, 1, 8), 64),
    ],
)
def test_a_slow_board_gets_less_to_do(probe: Speed, workload: Workload, deep_tokens: int) -> None:
    """A NAS, a small PC, a Pi with 1.5 B weights, and one that should not try."""
    assert workloads(probe) == (workload, Workload(deep_tokens, 1, workload.writes))


def test_passes_longer_than_what_is_read_at_once_are_not_compared() -> None:
    """On a board that reads 100 tokens a second they are all the same."""
    _, wanted = search(4, lambda _trial: speed(100))

    assert {trial.setting.ubatch_tokens for trial in wanted} == {512}


def test_reading_and_writing_count_alike() -> None:
    """Twice as fast at one and half as fast at another is neither better nor worse."""
    assert score(speed(100, 10, 20)) == pytest.approx(score(speed(200, 5, 20)))
    assert score(speed(100, 10, 21)) < MARGIN * score(speed(100, 10, 20))
