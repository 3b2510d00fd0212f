"""A terminal remembers the boxes it has met, and what wakes them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inglenook.client.known_boxes import (
    KnownBox,
    KnownBoxes,
    from_announcement,
    from_pairing,
    remember,
)
from inglenook.discovery.box import MdnsAnswer, read_box
from inglenook.discovery.found_box import FoundBox

MAC, OTHER_MAC = "dc:a6:32:01:02:03", "00:e0:4c:68:01:02"
KITCHEN = KnownBox("ab12cd34", "Kitchen", (MAC,), ("http://192.168.1.20:8377",))
ATTIC = KnownBox("99887766", "Attic", (), ())


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_DATA_HOME": str(tmp_path)}


@pytest.fixture
def known(environ: dict[str, str]) -> KnownBoxes:
    return KnownBoxes(environ)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inglenook" / "boxes.json"


def test_boxes_are_known_from_one_command_to_the_next(
    known: KnownBoxes, environ: dict[str, str]
) -> None:
    """Those met last stand at the end."""
    assert known.all() == []
    known.learn([KITCHEN, ATTIC])
    known.learn([KITCHEN])

    assert KnownBoxes(environ).all() == [ATTIC, KITCHEN]


def test_addresses_that_a_box_has_had_are_kept(known: KnownBoxes) -> None:
    """Behind those it has now: pairing told of both cards, mDNS tells of one."""
    known.learn([replace(KITCHEN, macs=(MAC, OTHER_MAC))])
    known.learn([KnownBox("ab12cd34", "Old kitchen", (OTHER_MAC,), ("http://192.168.1.30:8377",))])

    assert known.all() == [
        KnownBox(
            "ab12cd34",
            "Old kitchen",
            (OTHER_MAC, MAC),
            ("http://192.168.1.30:8377", "http://192.168.1.20:8377"),
        )
    ]


def test_a_box_that_was_set_up_anew_is_the_same_machine(known: KnownBoxes) -> None:
    """Or its name would mean two from then on."""
    known.learn([KITCHEN, ATTIC])
    known.learn([replace(KITCHEN, server_id="11112222", macs=(OTHER_MAC, MAC))])

    assert [box.server_id for box in known.all()] == ["99887766", "11112222"]


def test_what_is_kept_is_bounded(known: KnownBoxes) -> None:
    """Anybody may announce boxes by the thousand, or one at a thousand addresses."""
    known.learn(replace(ATTIC, server_id=f"{number:08x}") for number in range(1000))
    known.learn(replace(KITCHEN, urls=(f"http://10.0.0.{number}",)) for number in range(200))
    boxes = known.all()

    assert len(boxes) == 64
    assert boxes[-1].urls[0] == "http://10.0.0.199"
    assert len(boxes[-1].urls) == 8


@pytest.mark.parametrize("text", ["Kitchen", "kitchen", " KITCHEN ", "ab12cd34", "AB12CD34"])
def test_a_box_is_meant_by_its_name_or_id(text: str) -> None:
    """In any case."""
    assert KITCHEN.is_called(text)
    assert not ATTIC.is_called(text)


def found(*addresses: str, **txt: str) -> KnownBox | None:
    """What is kept of a box that announces itself so."""
    record = {key.encode(): value.encode() for key, value in txt.items()}
    at = addresses or ("192.168.1.20",)
    box = read_box(MdnsAnswer("Kitchen", "kitchen-ab12.local.", 8377, at, record))
    assert box is not None
    return from_announcement(FoundBox(box, box.urls))


def test_an_announced_box_is_kept_with_its_host_name_too() -> None:
    """The router may give it another address while it sleeps."""
    assert found(id="ab12cd34", mac=MAC) == replace(
        KITCHEN, urls=("http://192.168.1.20:8377", "http://kitchen-ab12.local:8377")
    )


def test_all_addresses_of_an_announced_box_are_kept() -> None:
    """Its name may lead to the one that cannot be reached from here; the name stays, too."""
    two = found("192.168.1.20", "10.88.0.3", id="ab12cd34")
    many = found(*(f"192.168.1.{number}" for number in range(1, 17)), id="ab12cd34")

    assert two is not None
    assert two.urls == (
        "http://192.168.1.20:8377",
        "http://10.88.0.3:8377",
        "http://kitchen-ab12.local:8377",
    )
    assert many is not None
    assert len(many.urls) == 8
    assert many.urls[-1] == "http://kitchen-ab12.local:8377"


@pytest.mark.parametrize("host", ["a[b.local.", "a\u2100b.local.", "me@example.com.", "x.local/y."])
def test_a_host_name_that_no_box_has_is_not_kept(known: KnownBoxes, host: str) -> None:
    """Anybody may announce one; a file that has it from before is still of use."""
    box = read_box(MdnsAnswer("Kitchen", host, 8377, ["192.168.1.20"], {b"id": b"ab12cd34"}))
    assert box is not None
    kept = from_announcement(FoundBox(box, box.urls))
    assert kept is not None
    assert kept.urls == ("http://192.168.1.20:8377",)

    known.learn([replace(kept, urls=(*kept.urls, f"http://{host}:8377"))])
    known.learn([kept])
    assert len(known.all()) == 1


def test_a_box_with_a_tls_port_alone_is_kept_so() -> None:
    """Its name is as good for that."""
    box = read_box(
        MdnsAnswer("Kitchen", "k.local.", 8378, ["10.0.0.1"], {b"id": b"ab12cd34", b"tls": b"1"})
    )
    assert box is not None
    kept = from_announcement(FoundBox(box, ("https://10.0.0.1:8378",)))

    assert kept is not None
    assert kept.urls == ("https://10.0.0.1:8378", "https://k.local:8378")


def twin(number: int, *macs: str, address: int = 0) -> KnownBox:
    """One of the machines that have copies of one SD card."""
    end = "" if number == 1 else f"-{number}"
    urls = (f"http://10.0.0.{address or number}:8377", f"http://kitchen-ab12{end}.local:8377")
    return KnownBox("ab12cd34", f"Kitchen{end}", macs, urls)


@pytest.mark.parametrize("macs", [(MAC, OTHER_MAC), (None, None), (MAC, None)])
def test_a_box_and_its_copy_stay_apart(known: KnownBoxes, macs: tuple[str | None, ...]) -> None:
    """Whoever wakes one waits at its own addresses; in whatever order they are met."""
    cards = [(mac,) if mac else () for mac in macs]
    first, second = twin(1, *cards[0]), twin(2, *cards[1])
    moved = twin(2, *cards[1], address=3)
    known.learn([first, second])
    known.learn([moved, first])
    known.learn([moved])

    both = sorted(known.all(), key=lambda box: box.name)
    assert both == [first, replace(moved, urls=(*moved.urls, second.urls[0]))]


def test_a_box_and_its_copy_met_one_at_a_time_stay_apart(known: KnownBoxes) -> None:
    """By their network cards, once both have said theirs."""
    known.learn([twin(1, MAC)])
    known.learn([twin(2, OTHER_MAC)])

    assert known.all() == [twin(1, MAC), twin(2, OTHER_MAC)]


def test_a_card_put_into_another_board_is_the_same_box(known: KnownBoxes) -> None:
    """It has its name; both boards are called from then on."""
    known.learn([twin(1, MAC)])
    known.learn([twin(1, OTHER_MAC)])

    assert known.all() == [twin(1, OTHER_MAC, MAC)]


def test_a_box_that_says_no_card_may_be_renamed(known: KnownBoxes) -> None:
    """Nobody else has its id."""
    known.learn([twin(1)])
    known.learn([twin(2)])

    [box] = known.all()
    assert box.name == "Kitchen-2"


def test_a_box_that_does_not_say_what_is_needed_is_kept_without_or_not_at_all() -> None:
    """Its owner may keep the MAC address to himself; without an id it is nobody."""
    without = found(id="ab12cd34")

    assert without is not None
    assert without.macs == ()
    assert found(mac=MAC) is None


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"server_id": 5},
        {"mac": None},
        {"mac": ["nonsense"]},
        {"urls": "http://"},
        {"urls": [5]},
    ],
)
def test_a_pairing_answer_that_makes_no_sense_is_not_kept(changed: dict[str, Any]) -> None:
    """Pairing itself does not fail for it."""
    answer = {"server_id": "ab12cd34", "mac": [MAC], "urls": ["http://192.168.1.20:8377"]}
    kept = from_pairing("Kit\x1bchen", {**answer, **changed})

    assert kept == (None if changed else KITCHEN)
    assert from_pairing("Kitchen", {}) is None


def test_what_cannot_be_kept_is_told_and_harms_nothing(
    environ: dict[str, str], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Looking for boxes still works where nothing can be written."""
    path.parent.write_text("")
    remember(environ, [None])
    assert caplog.messages == []

    remember(environ, [None, KITCHEN])

    assert "boxes.json" in caplog.text


@pytest.mark.parametrize(
    "content",
    [b"{", b'{"ab12cd34": 5}', b'{"ab12cd34": {"server_id": "ab12cd34", "name": "x"}}'],
)
def test_a_damaged_file_knows_nothing_and_is_kept_by_the_next_change(
    known: KnownBoxes, path: Path, content: bytes
) -> None:
    """Boxes are met again."""
    path.parent.mkdir()
    path.write_bytes(content)
    assert known.all() == []

    known.learn([KITCHEN])

    assert known.all() == [KITCHEN]
    assert path.with_name("boxes.json.damaged").read_bytes() == content


def test_boxes_of_the_first_version_are_known(known: KnownBoxes, path: Path) -> None:
    """Its file had no version."""
    known.learn([KITCHEN])
    path.write_text(json.dumps(json.loads(path.read_text())["entries"]))

    assert known.all() == [KITCHEN]


def test_a_card_that_is_none_is_damage(
    known: KnownBoxes, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody wrote it by hand."""
    known.learn([KITCHEN])
    content = json.loads(path.read_text())
    content["entries"]["ab12cd34"]["macs"] = ["dc:a6"]
    path.write_text(json.dumps(content))

    assert known.all() == []
    assert "is damaged" in caplog.text
