from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.chat.thinking import Channel
from inglenook.common.errors import Code, Problem
from inglenook.engine.events import Finish, JobEnded, JobRefused, JobStarted, Refusal
from inglenook.engine.orders import ChatMessage, Sampling, StartJob
from inglenook.serving.job import Job
from inglenook.serving.response import Response
from inglenook.serving.response_parts import Change, Status, TextPiece
from tests.fakes.engine import LETTERS, Script, Writing

ORDER = StartJob(
    0,
    (ChatMessage("user", "Why?"),),
    Sampling(0.0, 40, 0.9, 0.0, 1.0, 0.0, 0.0, 64, 1),
    None,
    (),
    False,
)


class Owner:
    """A desk that only writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def news(self, job: Job) -> None:
        self.heard.append("news")

    def progressed(self, job: Job) -> None:
        self.heard.append("progressed")

    def engine_lost(self, job: Job) -> None:
        self.heard.append("lost")

    def preempted(self, job: Job) -> None:
        self.heard.append("stood aside")

    def over(self, job: Job) -> None:
        self.heard.append("over")

    def give_up(self, job: Job) -> None:
        self.heard.append("given up")


class Life:
    """One answer through any number of engines and daemons, with the journal as a list."""

    def __init__(
        self, script: Script, *, thinking: bool = False, stop: tuple[str, ...] = ()
    ) -> None:
        self.script = script
        self.thinking = thinking
        self.order = msgspec.structs.replace(ORDER, stop=stop)
        self.owner = Owner()
        self.now = 0.0
        self.response = Response("r", "ada", "tiny", now=0.0)
        self.kept: list[Change] = []
        self.job = self._new_job(requeued=False)
        self.writing = self._begun()

    def step(self) -> None:
        """Let the engine write a token, if it has not ended."""
        self.now += 1.0
        if not self.job.over:
            self.writing.step()

    def show(self) -> None:
        """Keep what is new and let readers see it."""
        change = self.job.take_change()
        if change is not None:
            self.kept.append(change)
            self.response.apply(change, self.now)

    def engine_dies(self) -> None:
        """The next one goes on."""
        if not self.job.over:
            self.job.lost(killed=True)
            self.job.attempts._strikes = 0.0  # not what is looked at here
            self.writing = self._begun()

    def daemon_dies(self) -> None:
        """Only what was kept is left; the next one goes on."""
        self.response = Response("r", "ada", "tiny", now=0.0)
        for change in self.kept:
            begins = self.response.status is Status.QUEUED
            self.response.apply(replace(change, begins=begins), self.now)
        if self.response.status.over:
            return
        self.response.skip_to(self.response.next_seq + 100)
        self.job = self._new_job(requeued=True)
        self.writing = self._begun()

    def finish(self) -> None:
        """Write and show the rest."""
        while not self.job.over:
            self.step()
        self.show()

    @property
    def texts(self) -> tuple[str, str]:
        """Thinking and answer so far."""
        return self.response.text(Channel.THINKING), self.response.text(Channel.ANSWER)

    def _new_job(self, *, requeued: bool) -> Job:
        tokens = tuple(token for change in self.kept for token in change.tokens)
        start = msgspec.structs.replace(self.order, produced=tokens)
        return Job(
            start, self.response, lambda: self.now, self.owner, self.owner, requeued=requeued
        )

    def _begun(self) -> Writing:
        writing = Writing(self.job.attempt(1), self.job, self.script)
        writing.begin(thinking=self.thinking)
        return writing


@st.composite
def scripts(draw: st.DrawFn) -> list[bytes]:
    """Text with everything that is ever held back, in tokens cut at any byte."""
    tags = ["<think>", "</think>", "<th", "</", "STOP", "ST", "OP"]
    words = st.sampled_from([*tags, " ", "\n", "a", "b", "é", "日本", "\N{FAMILY}\u200d"])
    data = "".join(draw(st.lists(words, max_size=12))).encode()
    tokens = []
    while data:
        size = draw(st.integers(min_value=1, max_value=5))
        tokens.append(data[:size])
        data = data[size:]
    return tokens


HAPPENINGS: dict[str, Callable[[Life], None]] = {
    "step": Life.step,
    "show": Life.show,
    "engine dies": Life.engine_dies,
    "daemon dies": Life.daemon_dies,
}


@given(
    scripts(),
    st.booleans(),
    st.sampled_from([(), ("STOP",), ("ST", "b")]),
    st.lists(st.sampled_from(["step", "step", "step", *HAPPENINGS]), max_size=40),
)
def test_no_death_of_engine_or_daemon_loses_or_doubles_a_character(
    script: list[bytes], thinking: bool, stop: tuple[str, ...], happenings: list[str]
) -> None:
    """Half characters, tags and stop strings held back at any moment come out as if undisturbed."""
    undisturbed = Life(script, thinking=thinking, stop=stop)
    undisturbed.finish()

    life = Life(script, thinking=thinking, stop=stop)
    shown = ("", "")
    for happening in happenings:
        HAPPENINGS[happening](life)
        before, shown = shown, life.texts
        assert all(new.startswith(old) for old, new in zip(before, shown, strict=True))
    life.finish()
    assert life.texts == undisturbed.texts
    assert life.response.status is undisturbed.response.status is Status.COMPLETED
    assert all(new.startswith(old) for old, new in zip(shown, life.texts, strict=True))


def test_what_is_taken_is_taken_once_and_numbered_in_order() -> None:
    """Text gathers until somebody takes it."""
    life = Life(LETTERS)
    life.step()
    life.step()
    change = life.job.take_change()
    assert change is not None
    assert change == Change("r", True, (TextPiece(1, Channel.ANSWER, 0, "ab"),), (0, 1), None)
    life.response.apply(change, 0.0)
    assert life.job.take_change() is None
    life.step()

    change = life.job.take_change()
    assert change == Change("r", False, (TextPiece(2, Channel.ANSWER, 2, "c"),), (2,), None)


def test_tokens_whose_text_is_held_back_are_kept_with_the_text() -> None:
    """A journal entry is text and the tokens that make it; never the one without the other."""
    life = Life(["é".encode()[:1], "é".encode()[1:]])
    life.step()
    change = life.job.take_change()
    assert change is not None
    assert (change.pieces, change.tokens) == ((), ())
    life.response.apply(change, 0.0)
    life.step()

    change = life.job.take_change()
    assert change is not None
    assert [piece.text for piece in change.pieces] == ["é"]
    assert change.tokens == (0, 1)


def test_a_begin_is_told_once_though_the_disk_is_slower_than_the_engine() -> None:
    """The engine may die and come back while the first change is on its way to the disk."""
    life = Life(LETTERS)
    first = life.job.take_change()
    life.engine_dies()
    second = life.job.take_change()

    assert first is not None
    assert first.begins
    assert second is None


def test_the_end_has_the_number_after_the_last_text() -> None:
    """And everything a phone is told about how it went."""
    life = Life([b"a", b"b"])
    life.finish()

    assert life.response.last_seq == 2
    outcome = life.response.outcome
    assert outcome is not None
    assert (outcome.finish_reason, outcome.prompt_tokens, outcome.completion_tokens) == (
        "stop",
        10,
        2,
    )
    assert (outcome.queued_s, outcome.ttft_s) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("finish", "status", "finish_reason", "code"),
    [
        (Finish.STOP, Status.COMPLETED, "stop", None),
        (Finish.LENGTH, Status.INCOMPLETE, "length", None),
        (Finish.REPETITION, Status.INCOMPLETE, "repetition", None),
        (Finish.CANCELLED, Status.CANCELLED, None, None),
        (Finish.FAILED, Status.FAILED, None, Code.ENGINE_FAILED),
    ],
)
def test_how_the_engine_ends_becomes_how_the_response_ends(
    finish: Finish, status: Status, finish_reason: str | None, code: Code | None
) -> None:
    """With what was held back as the last text."""
    life = Life(LETTERS)
    life.job.ended(JobEnded(1, finish, "rest", 0, 0, 0.0, 0.0))
    life.show()

    assert life.response.status is status
    outcome = life.response.outcome
    assert outcome is not None
    assert outcome.finish_reason == finish_reason
    assert (outcome.problem.code if outcome.problem else None) == code
    assert life.response.text(Channel.ANSWER) == "rest"


@pytest.mark.parametrize(
    ("refused", "code", "word"),
    [
        (JobRefused(1, Refusal.CONTEXT_TOO_LONG, 5000, 4096), Code.CONTEXT_TOO_LONG, "5000"),
        (
            JobRefused(1, Refusal.TEMPLATE, detail="no system role"),
            Code.BAD_REQUEST,
            "no system role",
        ),
    ],
)
def test_a_refusal_says_what_was_wrong_and_costs_nothing(
    refused: JobRefused, code: Code, word: str
) -> None:
    """A phone that shortens its conversation need not wait for having asked too much."""
    response = Response("r", "ada", "tiny", now=0.0)
    job = Job(ORDER, response, lambda: 0.0, Owner(), Owner())
    job.attempt(1)
    job.refused(refused)
    change = job.take_change()
    assert change is not None
    response.apply(change, 0.0)

    assert response.status is Status.FAILED
    assert response.outcome is not None
    problem = response.outcome.problem
    assert problem is not None
    assert problem.code is code
    assert word in problem.text
    assert job.tokens == 0


def deaths(life: Life, *killed: bool, tokens_between: int = 0) -> list[bool]:
    """Let its engine die so often; say after each whether it still goes on."""
    goes_on = []
    for by_somebody in killed:
        life.job.lost(killed=by_somebody)
        goes_on.append(not life.job.over)
        if life.job.over:
            break
        life.writing = life._begun()
        for _ in range(tokens_between):
            life.step()
    return goes_on


def test_an_answer_whose_engine_dies_twice_without_a_new_token_fails() -> None:
    """It is what kills them; the box does not try for ever."""
    life = Life(LETTERS)
    life.step()

    assert deaths(life, False, False) == [True, False]
    life.show()
    assert life.response.outcome is not None
    assert life.response.outcome.problem is not None
    assert life.response.outcome.problem.code is Code.ENGINE_FAILED
    assert life.response.text(Channel.ANSWER) == "a"


def test_an_answer_that_gets_on_between_deaths_goes_on() -> None:
    """A token is proof that it was not this answer."""
    life = Life(LETTERS)

    assert deaths(life, *[False] * 10, tokens_between=1) == [True] * 10
    life.finish()
    assert life.response.text(Channel.ANSWER) == "abcdefghijklmnopqrstuvwxyz"


def test_kills_from_outside_count_less_but_not_nothing() -> None:
    """The kernel may need more than two attempts; a storm of kills ends all the same."""
    life = Life(LETTERS)

    assert deaths(life, *[True] * 9) == [True] * 4 + [False]


def test_an_answer_that_came_back_is_on_trial_until_its_first_token() -> None:
    """The desk lets no other begin meanwhile."""
    life = Life(LETTERS)
    assert not life.job.proving
    life.engine_dies()
    assert life.job.proving
    life.step()

    assert not life.job.proving
    assert life.owner.heard.count("progressed") == 1


@pytest.mark.parametrize("how", ["it died", "it was unloaded"])
def test_a_cancel_that_the_engine_ended_over_still_counts(how: str) -> None:
    """Nobody wants the answer to come back with the next engine."""
    life = Life(LETTERS)
    life.step()
    life.job.unwanted = True
    if how == "it died":
        life.job.lost(killed=True)
    else:
        life.job.unloaded()
    life.show()

    assert life.response.status is Status.CANCELLED
    assert not {"lost", "stood aside"} & set(life.owner.heard)


def test_an_answer_that_makes_way_goes_on_where_it_was() -> None:
    """To its reader it is a pause."""
    life = Life(LETTERS)
    life.step()
    life.show()
    life.job.preempting = True
    life.job.ended(JobEnded(1, Finish.CANCELLED, "", 1, 0, 0.0, 0.0))
    assert life.owner.heard[-1] == "stood aside"
    assert life.job.take_change() is None
    life.writing = life._begun()
    life.finish()

    assert life.response.text(Channel.ANSWER) == "abcdefghijklmnopqrstuvwxyz"


def test_an_answer_whose_engine_was_unloaded_goes_on_like_one_that_made_way() -> None:
    """However often: it was nobody's fault, and no proof is asked of it."""
    life = Life(LETTERS)
    life.step()
    for _ in range(10):
        life.job.unloaded()
        assert life.owner.heard[-1] == "stood aside"
        life.writing = life._begun()
    assert not life.job.proving
    life.finish()

    assert life.response.text(Channel.ANSWER) == "abcdefghijklmnopqrstuvwxyz"


def test_what_was_found_in_the_cache_was_not_computed() -> None:
    """Neither in the figures nor in the speed."""
    life = Life(LETTERS)
    life.step()
    life.job.ended(JobEnded(1, Finish.STOP, "", 1, cached_tokens=6, prefill_s=0.1, decode_s=0.0))
    life.show()

    outcome = life.response.outcome
    assert outcome is not None
    assert (outcome.prompt_tokens, outcome.cached_tokens) == (10, 6)
    assert outcome.prefill_tok_s == pytest.approx((10 - 6) / 0.1)


def test_an_answer_does_not_count_its_own_leavings_in_the_cache_as_found() -> None:
    """One that stood aside finds its prompt and its text there; it had to compute them once."""
    life = Life(LETTERS)
    life.step()
    life.job.preempting = True
    life.job.ended(
        JobEnded(1, Finish.CANCELLED, "", 1, cached_tokens=4, prefill_s=0.1, decode_s=0.0)
    )
    life.writing = life._begun()
    life.step()
    life.job.ended(JobEnded(2, Finish.STOP, "", 2, cached_tokens=10, prefill_s=0.1, decode_s=0.0))
    life.show()

    outcome = life.response.outcome
    assert outcome is not None
    assert outcome.cached_tokens == 4
    # Prompt and first token less what was there: one token, in a tenth of a second.
    assert outcome.prefill_tok_s == pytest.approx(10.0)


def test_an_unwanted_answer_that_makes_way_is_over() -> None:
    """A cancel is a cancel."""
    life = Life(LETTERS)
    life.job.preempting = life.job.unwanted = True
    life.job.ended(JobEnded(1, Finish.CANCELLED, "", 1, 0, 0.0, 0.0))

    assert life.owner.heard[-1] == "over"


def test_after_the_end_nothing_is_heard() -> None:
    """Whatever an engine still says about it."""
    life = Life(LETTERS)
    life.job.cancelled()
    told = list(life.owner.heard)
    life.job.started(JobStarted(1, 10))
    life.job.added("late", (1,))
    life.job.ended(JobEnded(1, Finish.STOP, "late", 1, 0, 0.0, 0.0))
    life.job.refused(JobRefused(1, Refusal.TEMPLATE))
    life.job.lost(killed=False)
    life.show()

    assert life.owner.heard == told
    assert life.texts == ("", "")


def test_failing_keeps_the_text_so_far() -> None:
    """Half an answer is better than none."""
    life = Life(LETTERS)
    life.step()
    life.job.fail(Problem(Code.SHUTTING_DOWN, "Gone."))
    life.show()

    assert life.response.status is Status.FAILED
    assert life.response.text(Channel.ANSWER) == "a"
