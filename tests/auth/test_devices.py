"""Who a token belongs to, and what devices may be called."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest

from inglenook.auth.devices import (
    DEVICES_MAX,
    REVOKED_MAX,
    Device,
    Roster,
    Scope,
    check,
    check_thinking,
    clean_name,
    clean_platform,
    parse_scopes,
)
from inglenook.auth.tokens import mint
from inglenook.common.errors import Code, Problem

NOW = 1_800_000_000.0


def device(name: str, *, expires_at: float | None = None) -> tuple[Device, str]:
    new = mint(secrets.token_bytes)
    made = Device(
        new.device_id, name, "iOS", new.sha256, (Scope.CHAT,), NOW - 100, expires_at=expires_at
    )
    return made, new.token


def roster_of(*names: str) -> Roster:
    roster = Roster()
    for name in names:
        roster = roster.with_device(device(name)[0])
    return roster


def test_a_paired_device_is_known_by_its_token() -> None:
    """The right token gives the device it was made for."""
    anna, token = device("Anna")
    ben, _ = device("Ben")

    assert check(Roster((ben, anna)), token, NOW) is anna


@pytest.mark.parametrize("token", ["", "Bearer", "\ud800", f"ingle_aaaaaaaa_{'A' * 43}"])
def test_a_stranger_is_not_paired(token: str) -> None:
    """Garbage and well-formed but unknown tokens hear the same."""
    anna, _ = device("Anna")

    verdict = check(Roster((anna,), (anna.token_sha256,)), token, NOW)

    assert isinstance(verdict, Problem)
    assert verdict.code is Code.NOT_PAIRED
    assert verdict.text == "This device is not paired with the box."


def test_a_known_device_id_with_another_secret_is_not_paired() -> None:
    """The device id is no secret; only the whole token opens."""
    anna, token = device("Anna")
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")

    verdict = check(Roster((anna,)), forged, NOW)

    assert isinstance(verdict, Problem)
    assert verdict.code is Code.NOT_PAIRED


def test_a_removed_device_hears_that_it_was_revoked() -> None:
    """A phone that was removed can say so, instead of trying for ever."""
    anna, token = device("Anna")
    roster = Roster((anna,)).without(anna)

    verdict = check(roster, token, NOW)

    assert roster.devices == ()
    assert isinstance(verdict, Problem)
    assert verdict.code is Code.REVOKED


@pytest.mark.parametrize(
    ("expires_at", "known"), [(None, True), (NOW + 1, True), (NOW, False), (NOW - 1, False)]
)
def test_a_token_ends_at_its_expiry(expires_at: float | None, known: bool) -> None:
    """An expired device is not paired, and hears why."""
    anna, token = device("Anna", expires_at=expires_at)

    verdict = check(Roster((anna,)), token, NOW)

    if known:
        assert verdict is anna
    else:
        assert isinstance(verdict, Problem)
        assert verdict.code is Code.NOT_PAIRED
        assert "expired" in verdict.text


def test_only_the_latest_revoked_tokens_are_remembered() -> None:
    """The list of the dead is bounded; the longest dead become strangers again."""
    roster = Roster()
    tokens = []
    for number in range(REVOKED_MAX + 1):
        made, token = device(f"Phone {number}")
        roster = roster.with_device(made).without(made)
        tokens.append(token)

    def code(token: str) -> Code:
        verdict = check(roster, token, NOW)
        assert isinstance(verdict, Problem)
        return verdict.code

    assert len(roster.revoked) == REVOKED_MAX
    assert code(tokens[0]) is Code.NOT_PAIRED
    assert code(tokens[1]) is Code.REVOKED
    assert code(tokens[-1]) is Code.REVOKED


def test_a_taken_name_gets_a_number_whatever_its_case() -> None:
    """Two phones called iPhone can be told apart."""
    roster = roster_of("iPhone", "IPHONE", "iphone", "iPhone 2")

    assert [known.name for known in roster.devices] == [
        "iPhone",
        "IPHONE 2",
        "iphone 3",
        "iPhone 2 2",
    ]


def test_a_number_never_makes_a_name_too_long() -> None:
    """The name gives way, not the number."""
    roster = roster_of("x" * 64, "x" * 64)

    assert roster.devices[1].name == "x" * 62 + " 2"


def test_one_device_too_many_is_refused() -> None:
    """The file, and every search through it, is bounded."""
    roster = Roster(tuple(device(f"Phone {number}")[0] for number in range(DEVICES_MAX)))

    with pytest.raises(Problem, match="already knows 256 devices"):
        roster.with_device(device("One more")[0])


@pytest.mark.parametrize("wanted", ["Anna's phone", "anna's PHONE", "  Anna's phone "])
def test_a_device_is_found_by_name_whatever_its_case(wanted: str) -> None:
    """People type names as they like."""
    roster = roster_of("Ben's tablet", "Anna's phone")

    assert roster.find(wanted).name == "Anna's phone"


def test_a_device_is_found_by_its_id() -> None:
    """An id always works where its name is hard to type."""
    roster = roster_of("Ben", "Anna")
    anna = roster.devices[1]

    assert roster.find(anna.device_id) is anna
    assert roster.get(anna.device_id) is anna


def test_a_device_nobody_knows_is_named_in_the_refusal() -> None:
    """A typing mistake shows."""
    with pytest.raises(Problem, match="No device is called 'Ana'; `inglenook devices`"):
        roster_of("Anna").find("Ana")


def test_what_could_mean_two_devices_lists_them() -> None:
    """A device that calls itself by another's id cannot be removed in its place."""
    roster = roster_of("Anna")
    anna = roster.devices[0]
    roster = roster.with_device(device(anna.device_id)[0])
    impostor = roster.devices[1]

    with pytest.raises(Problem) as caught:
        roster.find(anna.device_id)

    assert caught.value.text == (
        f"'{anna.device_id}' could mean {anna.device_id} (Anna), "
        f"{impostor.device_id} ({anna.device_id}); give the id."
    )
    assert roster.find(impostor.device_id) is impostor


def test_renaming_keeps_everything_else() -> None:
    """Order, token and scopes stay."""
    roster = roster_of("Anna", "Ben")
    anna, ben = roster.devices

    renamed = roster.renamed(anna, "Anna's phone")

    assert renamed.devices == (replace(anna, name="Anna's phone"), ben)


def test_renaming_may_change_only_the_case() -> None:
    """A device is no rival to itself."""
    roster = roster_of("anna")

    assert roster.renamed(roster.devices[0], "Anna").devices[0].name == "Anna"


def test_renaming_to_a_taken_name_is_refused() -> None:
    """Unlike a new phone, a person can choose again."""
    roster = roster_of("Anna", "Ben")

    with pytest.raises(Problem, match="Another device is already called 'Ben'"):
        roster.renamed(roster.devices[0], "BEN")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Anna\u2019s iPhone", "Anna\u2019s iPhone"),
        ("  Anna's \t phone\n", "Anna's phone"),
        ("Büro 台所", "Büro 台所"),
        ("x" * 64, "x" * 64),
    ],
)
def test_a_name_is_tidied(text: str, name: str) -> None:
    """Spaces at the ends and in rows are nobody's intention."""
    assert clean_name(text) == name


@pytest.mark.parametrize(
    "text", ["", "   ", "x" * 65, "a\x00b", "\x1b[31mred", "a\u202eb", "\ud800"]
)
def test_what_cannot_be_a_name_is_refused(text: str) -> None:
    """Names reach terminals and logs, so nothing in them may move the cursor or turn the text."""
    with pytest.raises(Problem, match="1 to 64 printable characters"):
        clean_name(text)


def test_a_platform_is_cut_to_what_can_be_shown() -> None:
    """A phone that says odd things about itself is still let in."""
    assert clean_platform("i\x1bOS\n" + "x" * 100) == "iOS" + "x" * 61


def test_scopes_are_read_without_repeats() -> None:
    """The order is kept."""
    assert parse_scopes(["chat", "admin", "chat"]) == (Scope.CHAT, Scope.ADMIN)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["caht"], "'caht' is not a scope; did you mean 'chat'?"),
        (["root"], "'root' is not a scope; known are chat, models, wake, admin, metrics."),
        (["Chat"], "'Chat' is not a scope; did you mean 'chat'?"),
        ([], "A device needs a scope; known are chat, models, wake, admin, metrics."),
    ],
)
def test_unknown_scopes_are_refused(names: list[str], sentence: str) -> None:
    """The refusal says what to write."""
    with pytest.raises(Problem) as caught:
        parse_scopes(names)

    assert caught.value.text == sentence


def test_a_device_does_not_show_its_hash() -> None:
    """A Device in a log line gives its id and name, not its token's hash."""
    anna, _ = device("Anna")

    assert anna.token_sha256 not in repr(anna)


def test_a_choice_about_thinking_is_a_word_or_a_number() -> None:
    """Anything else is refused with what it may be."""
    assert check_thinking("512") == "512"
    with pytest.raises(Problem, match="auto, on, off, or a number of tokens from 1 to 999999"):
        check_thinking("perhaps")
