"""A connection says who it is once, then asks under ids that are not in use."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inglenook.protocol.messages import Auth, Cancel, FromPhone, Generate, Ping, Prepare, Resume
from inglenook.protocol.session import (
    ALLOWED,
    TRANSITIONS,
    CloseCode,
    Closing,
    Session,
    SessionPhase,
)

EVERY_MESSAGE: tuple[FromPhone, ...] = (
    Auth("t"),
    Generate("c1", {}),
    Prepare("p1", {}),
    Cancel("r"),
    Resume("r"),
    Ping(),
)


def paired() -> Session:
    session = Session()
    session.receive(Auth("t"))
    session.authenticated("ada")
    return session


@pytest.mark.parametrize("message", EVERY_MESSAGE[1:])
def test_the_first_message_must_be_auth(message: FromPhone) -> None:
    """Whoever asks before saying who it is gets nothing."""
    with pytest.raises(Closing) as caught:
        Session().receive(message)

    assert caught.value.code is CloseCode.NOT_AUTHORISED


def test_a_paired_phone_may_say_everything_else() -> None:
    """The session remembers whose connection it is."""
    session = paired()

    for message in EVERY_MESSAGE[1:]:
        session.receive(message)

    assert session.device_id == "ada"


def test_a_second_auth_is_out_of_place() -> None:
    """A connection belongs to one device for life."""
    with pytest.raises(Closing) as caught:
        paired().receive(Auth("t"))

    assert caught.value.code is CloseCode.BAD_MESSAGE


@pytest.mark.parametrize("first", [Generate("c1", {}), Prepare("c1", {})])
@pytest.mark.parametrize("second", [Generate("c1", {}), Prepare("c1", {})])
def test_an_id_is_in_use_until_it_was_answered(first: FromPhone, second: FromPhone) -> None:
    """Then it may be used again, for either kind of request."""
    session = paired()
    session.receive(first)

    with pytest.raises(Closing) as caught:
        session.receive(second)
    session.release("c1")
    session.receive(second)

    assert caught.value.code is CloseCode.ID_IN_USE


@pytest.mark.parametrize("message", EVERY_MESSAGE)
def test_after_the_end_nothing_is_heard(message: FromPhone) -> None:
    """A frame that arrives late is nobody's."""
    session = paired()
    session.closed()
    session.closed()

    with pytest.raises(Closing):
        session.receive(message)


def test_every_phase_can_be_reached_and_left_but_the_last() -> None:
    """The table is the diagram of docs/protocol.md; it has no dead end but the end."""
    assert {phase for _from, phase in TRANSITIONS} == set(SessionPhase) - {SessionPhase.GREETED}
    assert {phase for phase, _to in TRANSITIONS} == set(SessionPhase) - {SessionPhase.CLOSED}
    assert set(ALLOWED) == set(SessionPhase)


def test_reasons_fit_into_a_close_frame() -> None:
    """RFC 6455 leaves 123 bytes."""
    session = Session()
    reasons = []
    for message in EVERY_MESSAGE:
        try:
            session.receive(message)
        except Closing as closing:
            reasons.append(closing.reason)

    assert reasons
    assert all(0 < len(reason.encode()) <= 123 for reason in reasons)


class SessionMachine(RuleBasedStateMachine):
    """Whatever a phone says in whatever order, only what is allowed gets through."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session()
        self.open: set[str] = set()

    @rule(message=st.sampled_from(EVERY_MESSAGE[3:]))
    def says_something(self, message: FromPhone) -> None:
        allowed = self.session.phase is SessionPhase.PAIRED
        assert self._passes(message) is allowed

    @rule()
    def says_who_it_is(self) -> None:
        allowed = self.session.phase is SessionPhase.GREETED
        assert self._passes(Auth("t")) is allowed
        if allowed:
            self.session.authenticated("ada")

    @rule(kind=st.sampled_from([Generate, Prepare]), request_id=st.sampled_from("abc"))
    def asks(self, kind: type[Generate | Prepare], request_id: str) -> None:
        allowed = self.session.phase is SessionPhase.PAIRED and request_id not in self.open
        assert self._passes(kind(request_id, {})) is allowed
        if allowed:
            self.open.add(request_id)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def is_answered(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.open)))
        self.session.release(request_id)
        self.open.discard(request_id)

    @rule()
    def hangs_up(self) -> None:
        self.session.closed()

    @invariant()
    def knows_who_it_is_only_once_paired(self) -> None:
        assert self.session.phase is not SessionPhase.GREETED or self.session.device_id == ""

    def _passes(self, message: FromPhone) -> bool:
        try:
            self.session.receive(message)
        except Closing:
            return False
        return True


SessionMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
TestSession = SessionMachine.TestCase
