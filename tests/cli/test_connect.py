"""A token goes to the box that gave it, and to nobody who says to be that box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from inglenook.cli import connect
from inglenook.cli.connect import BoxChoice, open_connection, token_for
from inglenook.cli.terminal.loop_thread import LoopThread
from inglenook.client.fingerprint import short_pin
from inglenook.client.known_boxes import KnownBoxes
from inglenook.client.tokens import BoxToken, TokenStore
from inglenook.common.errors import StartupError
from inglenook.config import Config
from inglenook.discovery.box import BoxHello, MdnsAnswer, read_box
from inglenook.discovery.found_box import FoundBox
from tests.parts.box import Box, Ran, free_port, run_inglenook, running_box, terminal
from tests.parts.standin import stand_in
from tests.parts.starter import CAPITAL, PARIS

ELSEWHERE = "http://192.0.2.7:8377"


@dataclass(frozen=True)
class Paired:
    """A terminal that was paired with a box over the network; the box is off by now."""

    environ: dict[str, str]
    box: Box
    tls_port: int
    server_id: str
    token: str
    shown: str

    def run(self, *words: str, stdin: str = "Hi") -> Ran:
        return run_inglenook(words, self.environ, stdin=stdin)


@pytest.fixture(scope="module")
def paired(starter_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Paired:
    home = tmp_path_factory.mktemp("home")
    tls_port = free_port()
    with running_box(starter_model, {"listen": {"tls_port": tls_port}}) as box:
        environ = {**box.environ(), "HOME": str(home), "XDG_STATE_HOME": str(home)}
        with terminal(["chat", "--url", box.url], environ) as talk:
            talk.wait_for("Code: ")
            talk.type(f"{box.pairing_code()}\n")
            talk.wait_for("> ")
            talk.type("\x04")
            assert talk.wait_ended() == 0
        server_id = (box.state_dir / "server_id").read_text().strip()
        kept = TokenStore({"HOME": str(home)}).get(server_id)
        assert kept is not None
        assert kept.spki_sha256 == box.control("POST", "/pair/open")["spki_sha256"]
        found = Paired(environ, box, tls_port, server_id, kept.token, talk.shown)
        again = found.run("chat", "--url", box.url, stdin=CAPITAL)
        assert (again.returncode, again.out.strip(), again.err) == (0, PARIS, "")
    return found


def test_the_key_that_pairing_believes_is_shown(paired: Paired) -> None:
    """For whoever wants to compare it with what the box shows."""
    kept = TokenStore(paired.environ).get(paired.server_id)

    assert kept is not None
    assert kept.spki_sha256 is not None
    assert f"this key: {short_pin(kept.spki_sha256)}\r\n" in paired.shown


@pytest.mark.parametrize("command", ["chat", "bench"])
@pytest.mark.parametrize("tls", [True, False])
def test_a_box_with_the_same_id_and_another_key_gets_no_token(
    paired: Paired, tmp_path: Path, command: str, tls: bool
) -> None:
    """Over TLS its key gives it away; and the box that is known has TLS."""
    tls_port = paired.tls_port if tls else 0
    where = {"port": paired.box.port, "tls_port": tls_port}
    with stand_in(paired.server_id, tmp_path / "other", **where) as other:
        ran = paired.run(command, "--url", other.url)

    assert ran.returncode == 1
    assert ran.out == ""
    assert ("does not have the TLS key" if tls else "has no TLS port") in ran.err
    assert "inglenook chat --pair" in ran.err
    assert other.heard
    assert not other.told(paired.token)


def test_the_token_goes_there_if_the_user_insists(paired: Paired, tmp_path: Path) -> None:
    """So the stand-in would have taken it."""
    with stand_in(paired.server_id, tmp_path / "other") as other:
        ran = paired.run("chat", "--insecure", "--url", other.url)

    assert (ran.returncode, ran.out) == (0, "Yes.\n")
    assert other.told(paired.token)


@pytest.mark.parametrize("named", [True, False])
def test_a_token_given_by_hand_goes_to_the_key_that_was_named(tmp_path: Path, named: bool) -> None:
    """Here to a machine that has it, and to one that has not."""
    environ = {"HOME": str(tmp_path), "INGLENOOK_TOKEN": "by hand"}
    with stand_in("0123abcd", tmp_path / "other") as other:
        pin = short_pin(other.spki_sha256) if named else "x" * 16
        words = ("chat", "--url", other.url, "--fingerprint", pin)
        ran = run_inglenook(words, environ, stdin="Hi")

    assert ran.returncode == (0 if named else 1), ran.err
    assert other.told("by hand") is named


@pytest.mark.parametrize("command", ["chat", "bench"])
def test_a_key_that_nobody_vouches_for_gets_no_token(tmp_path: Path, command: str) -> None:
    """Over TLS by address; what to do is said."""
    environ = {"HOME": str(tmp_path), "INGLENOOK_TOKEN": "by hand"}
    with stand_in("0123abcd", tmp_path / "other") as other:
        words = (command, "--url", f"https://127.0.0.1:{other.tls_port}")
        ran = run_inglenook(words, environ, stdin="Hi")

    assert (ran.returncode, ran.out) == (1, "")
    assert "nothing vouches for the TLS key" in ran.err
    assert "--fingerprint" in ran.err
    assert other.heard
    assert not other.told("by hand")


def test_a_fingerprint_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    """Nothing is asked of anybody."""
    words = ("chat", "--url", "http://127.0.0.1:1", "--token", "t", "--fingerprint", "short")
    ran = run_inglenook(words, {"HOME": str(tmp_path)})

    assert ran.returncode == 1
    assert "--fingerprint: must be" in ran.err


def test_a_redirection_does_not_lead_a_token_on(tmp_path: Path) -> None:
    """Not even from this machine, where it may go in clear."""
    environ = {"HOME": str(tmp_path), "INGLENOOK_TOKEN": "by hand"}
    with (
        stand_in("0123abcd", tmp_path / "far", tls_port=0) as far,
        stand_in("0123abcd", tmp_path / "near", tls_port=0) as near,
    ):
        near.redirects_to = f"{far.url}/ws"
        ran = run_inglenook(("chat", "--url", near.url), environ, stdin="Hi")

    assert ran.returncode == 1
    assert far.heard == []


@pytest.mark.parametrize("typed", ["tok", "tok\nHi"])
def test_a_token_may_come_first_in_a_pipe(tmp_path: Path, typed: str) -> None:
    """Instead of on the command line, where every user of the machine can read it."""
    with stand_in("0123abcd", tmp_path / "box", tls_port=0) as box:
        words = ("chat", "--url", box.url, "--token", "-")
        ran = run_inglenook(words, {"HOME": str(tmp_path)}, stdin=typed)

    assert ran.returncode == 0
    assert box.told('"token": "tok"')
    assert [messages[-1]["content"] for messages in box.asked] == (["Hi"] if "Hi" in typed else [])


def test_a_token_may_be_typed_unseen(tmp_path: Path) -> None:
    """At a terminal; the question after it is seen."""
    with stand_in("0123abcd", tmp_path / "box", tls_port=0) as box:
        words = ["chat", "--url", box.url, "--token", "-"]
        with terminal(words, {"HOME": str(tmp_path)}) as talk:
            talk.wait_for("Token: ")
            talk.type("unseen\n")
            talk.wait_for("> ")
            talk.type("\x04")
            assert talk.wait_ended() == 0

    assert box.told("unseen")
    assert "unseen" not in talk.shown


def announced(server_id: str, port: int, *addresses: str, answers: bool = True) -> FoundBox:
    """A box as a search finds it."""
    name = f"Box {server_id}"
    seen = read_box(MdnsAnswer(name, "box.local.", port, addresses, {b"id": server_id.encode()}))
    assert seen is not None
    return FoundBox(seen, seen.urls, BoxHello(server_id, name) if answers else None)


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Opens a line to whichever box is taken where a search finds these and none is here."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    def run(*boxes: FoundBox) -> dict[str, Any]:
        async def find_boxes(
            timeout_s: float, *, until: Callable[[FoundBox], bool] | None = None
        ) -> list[FoundBox]:
            assert timeout_s >= 2.0
            return list(boxes)

        monkeypatch.setattr(connect, "find_boxes", find_boxes)
        config = wish(tmp_path).config
        here = replace(config, listen=replace(config.listen, port=free_port(), tls_port=0))
        with LoopThread() as loop:
            wire, greeting = open_connection(BoxChoice(here), loop, lambda: None)
            loop.call(wire.close())
        return greeting

    return run


def test_each_address_of_a_box_is_tried_until_one_leads_to_it(
    tmp_path: Path, search: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """All are kept, whichever was the best; one that does not answer is passed over."""
    with stand_in("0123abcd", tmp_path / "box") as box:
        TokenStore({"XDG_DATA_HOME": str(tmp_path)}).put(
            "0123abcd", BoxToken("tok", box.spki_sha256)
        )
        greeting = search(announced("0123abcd", box.port, "127.0.0.2", "127.0.0.1"))

    assert greeting["type"] == "auth_ok"
    assert box.told("tok")
    assert "found Box 0123abcd at http://127.0.0.2:" in capsys.readouterr().err
    [kept] = KnownBoxes({"XDG_DATA_HOME": str(tmp_path)}).all()
    assert kept.urls == (
        f"http://127.0.0.2:{box.port}",
        f"http://127.0.0.1:{box.port}",
        f"http://box.local:{box.port}",
    )


def test_of_two_boxes_with_one_id_the_one_that_answers_is_taken(
    tmp_path: Path, search: Callable[..., dict[str, Any]]
) -> None:
    """A router may tell of one that is off before it tells of one that is on."""
    with stand_in("0123abcd", tmp_path / "box") as box:
        TokenStore({"XDG_DATA_HOME": str(tmp_path)}).put(
            "0123abcd", BoxToken("tok", box.spki_sha256)
        )
        off = announced("0123abcd", box.port, "127.0.0.2", answers=False)
        search(off, announced("0123abcd", box.port, "127.0.0.1"))

    assert box.told("tok")


def test_a_paired_box_that_does_not_answer_is_told_of(
    tmp_path: Path, search: Callable[..., dict[str, Any]]
) -> None:
    """Another that happens to be on is not taken in its place."""
    TokenStore({"XDG_DATA_HOME": str(tmp_path)}).put("0123abcd", BoxToken("tok", "x" * 43))
    with stand_in("99887766", tmp_path / "other") as other:
        off = announced("0123abcd", 8377, "127.0.0.2", answers=False)
        with pytest.raises(StartupError, match=r"Box 0123abcd is announced at .* does not answer"):
            search(off, announced("99887766", other.port, "127.0.0.1"))

    assert not other.told("tok")


def wish(tmp_path: Path, **changes: Any) -> BoxChoice:
    return BoxChoice(Config("Kitchen", tmp_path / "state"), **changes)


def test_a_token_kept_without_a_key_is_for_this_machine_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Elsewhere the terminal pairs anew, as nothing tells who answers there."""
    keyring = TokenStore({"XDG_DATA_HOME": str(tmp_path)})
    keyring.put("0123abcd", BoxToken("old"))
    box = BoxHello("0123abcd", "Kitchen", 8378, "x" * 43)

    assert token_for(wish(tmp_path), "http://127.0.0.1:8377", box, keyring) == BoxToken("old")
    assert token_for(wish(tmp_path, insecure=True), ELSEWHERE, box, keyring) == BoxToken("old")
    assert capsys.readouterr().err == ""
    assert token_for(wish(tmp_path), ELSEWHERE, box, keyring) is None
    assert "has to pair once more" in capsys.readouterr().err


def test_looking_for_a_box_of_ones_own_makes_nothing(tmp_path: Path) -> None:
    """Where none has ever run there is no id, and none is made."""
    state = tmp_path / "state"
    state.mkdir()
    keyring = TokenStore({"XDG_DATA_HOME": str(tmp_path)})

    assert token_for(wish(tmp_path), ELSEWHERE, BoxHello("0123abcd", "x"), keyring) is None
    assert list(state.iterdir()) == []


@pytest.mark.slow
def test_whoever_is_at_home_gets_the_box_a_new_key_without_a_word(
    starter_model: Path,
) -> None:
    """The user can read it in the box's own folder; and nobody else can be meant."""
    with running_box(starter_model, {"listen": {"tls_port": free_port()}}) as box:
        first = box.run("chat", stdin=CAPITAL)
        box.stop()
        (box.state_dir / "tls.key").unlink()
        box.restart()
        second = box.run("chat", stdin=CAPITAL)
        devices = box.run("devices").out

    assert (first.returncode, second.returncode) == (0, 0), second.err
    assert (first.out.strip(), second.out.strip()) == (PARIS, PARIS)
    assert devices.count("Terminal on ") == 1


@pytest.mark.slow
def test_a_new_key_is_taken_by_pairing_anew(paired: Paired, tmp_path: Path) -> None:
    """With `--pair`, by whoever made it new."""
    environ = {**paired.environ, "XDG_DATA_HOME": str(tmp_path)}
    TokenStore(environ).put(paired.server_id, BoxToken("old", "x" * 43))
    with stand_in(paired.server_id, tmp_path / "renewed") as box:
        assert run_inglenook(("chat", "--url", box.url), environ, stdin="Hi").returncode == 1
        with terminal(["chat", "--pair", "--url", box.url], environ) as talk:
            talk.wait_for("Code: ")
            talk.type("ABCD-EFGH\n")
            talk.wait_for("> ")
            talk.type("\x04")
            assert talk.wait_ended() == 0

    assert TokenStore(environ).get(paired.server_id) == BoxToken(box.token, box.spki_sha256)
    assert not box.told("old")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "does not pair as a box does"),
        ([], "does not pair as a box does"),
        ({"token": "t", "server_id": "other"}, "another box answers"),
        ({"token": "t", "server_id": "0123abcd", "spki_sha256": "z" * 43}, "something stands"),
        ({"error": {"code": "of another version", "message": "No window."}}, "no window"),
        ({"error": 5}, "refused to pair"),
    ],
)
def test_a_pairing_that_makes_no_sense_is_a_sentence(
    tmp_path: Path, said: object, words: str
) -> None:
    """And nothing is kept of it."""
    environ = {"HOME": str(tmp_path)}
    with stand_in("0123abcd", tmp_path / "box") as box:
        box.pairs_with = said
        with terminal(["chat", "--url", box.url], environ) as talk:
            talk.wait_for("Code: ")
            talk.type("ABCD-EFGH\n")
            assert talk.wait_ended() == 1

    assert words in talk.shown
    assert TokenStore(environ).all() == {}
