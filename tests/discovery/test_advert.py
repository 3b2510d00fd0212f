from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.discovery.advert import (
    Advert,
    clean_text,
    host_name,
    instance_name,
    txt_bytes,
    txt_record,
)

FULL = Advert(
    name="Kitchen",
    server_id="ab12cd34",
    version="0.1.0",
    port=8377,
    api=("ws", "oai", "oll"),
    tls=True,
    fingerprint="AbCdEfGhIjKlMn_-",
    pairing_open=True,
    models=("Qwen2.5-1.5B-Instruct-Q4_K_M",),
    mac="dc:a6:32:01:02:03",
    status="ready",
)

adverts = st.builds(
    Advert,
    name=st.text(),
    server_id=st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
    version=st.text(max_size=80),
    port=st.integers(1, 65535),
    api=st.lists(st.sampled_from(["ws", "oai", "oll"]), max_size=9).map(tuple),
    tls=st.booleans(),
    fingerprint=st.none() | st.from_regex(r"[A-Za-z0-9_-]{16}", fullmatch=True),
    pairing_open=st.booleans(),
    models=st.lists(st.text(max_size=300), max_size=4).map(tuple),
    mac=st.none() | st.from_regex(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", fullmatch=True),
    status=st.sampled_from(["ready", "loading", "hot", "sleep"]),
)


def test_the_txt_record_holds_every_key_in_the_protocols_order() -> None:
    """Key by key what docs/protocol.md promises."""
    assert list(txt_record(FULL).items()) == [
        ("txtvers", "1"),
        ("id", "ab12cd34"),
        ("v", "0.1.0"),
        ("api", "ws,oai,oll"),
        ("tls", "1"),
        ("fp", "AbCdEfGhIjKlMn_-"),
        ("auth", "token"),
        ("pair", "1"),
        ("model", "Qwen2.5-1.5B-Instruct-Q4_K_M"),
        ("models", "Qwen2.5-1.5B-Instruct-Q4_K_M"),
        ("mac", "dc:a6:32:01:02:03"),
        ("st", "ready"),
    ]


@pytest.mark.parametrize(
    ("models", "model", "said"),
    [
        (("small",), "small", "small"),
        (("small", "large"), "small", "small,large"),
        (("a,b", "", "c"), "a,b", "a b,c"),
        (
            [f"model-{n}" for n in range(9)],
            "model-0",
            "model-0,model-1,model-2,model-3,model-4,model-5,model-6",
        ),
        (("m" * 40, "large"), "m" * 40, None),
    ],
)
def test_several_models_are_listed_as_far_as_they_fit(
    models: Iterable[str], model: str, said: str | None
) -> None:
    """The first is in `model`, as earlier versions have it; nothing else is given up for others."""
    txt = txt_record(replace(FULL, models=tuple(models)))

    assert txt["model"] == model
    assert txt.get("models") == said
    assert {"mac", "fp"} <= set(txt)


def test_what_the_box_does_not_have_is_left_out() -> None:
    """No empty value: a missing key says the same in fewer bytes."""
    txt = txt_record(Advert(name="K", server_id="ab12cd34", version="0.1.0", port=1))
    assert list(txt) == ["txtvers", "id", "v", "api", "tls", "auth", "pair", "st"]


def test_a_long_model_name_is_cut_before_anything_is_left_out() -> None:
    """A phone shows a shortened name, but cannot wake a box by half a MAC address."""
    txt = txt_record(replace(FULL, models=("m" * 300,)))
    assert txt["mac"] == FULL.mac
    assert txt["fp"] == FULL.fingerprint
    assert txt_bytes(txt) == 199


@given(adverts)
def test_the_txt_record_never_reaches_200_bytes(advert: Advert) -> None:
    """The protocol's bound, whatever names people give."""
    txt = txt_record(advert)
    assert txt_bytes(txt) < 200
    assert list(txt) == [key for key in txt_record(FULL) if key in txt]
    assert {"txtvers", "id", "v", "api", "tls", "auth", "pair", "st"} <= set(txt)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("Kitchen", "kitchen-ab12"),
        ("Anna's  box!", "anna-s-box-ab12"),
        ("Küche", "kuche-ab12"),
        ("2nd floor", "2nd-floor-ab12"),
        ("台所", "inglenook-ab12"),
        ("42", "inglenook-ab12"),
        ("", "inglenook-ab12"),
        ("-- --", "inglenook-ab12"),
        ("x" * 80, "x" * 50 + "-ab12"),
    ],
)
def test_a_host_name_is_the_name_in_plain_letters_and_four_digits(name: str, host: str) -> None:
    """People may type it, and two kitchens stay apart."""
    assert host_name(name, "ab12cd34") == host


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        ("Kitchen", "Kitchen"),
        ("  Anna's\tbox\n", "Anna's box"),
        ("Dr. Smith's", "Dr\u2024 Smith's"),
        ("台所", "台所"),
        ("Ku\u0308che", "K\u00fcche"),
        ("bell\x07 \x1b[31mred", "bell [31mred"),
        ("half \ud83d of a pair", "half of a pair"),
        ("\x00", "Inglenook"),
        ("é" * 40, "é" * 30),
    ],
)
def test_an_instance_name_keeps_what_people_wrote_and_dns_can_carry(
    name: str, instance: str
) -> None:
    """Without control characters, and with a stand-in for the full stop zeroconf would split at."""
    assert instance_name(name) == instance


@given(st.text())
def test_an_instance_name_leaves_room_for_a_suffix_after_a_conflict(name: str) -> None:
    """63 bytes are allowed and `-99` may be added."""
    instance = instance_name(name)
    assert 0 < len(instance.encode()) <= 60
    assert "." not in instance
    assert not any(unicodedata.category(char) == "Cc" for char in instance)


@given(st.text())
def test_cleaning_text_twice_is_cleaning_it_once(text: str) -> None:
    """What was announced is what is shown."""
    once = clean_text(text)
    assert unicodedata.normalize("NFC", clean_text(once)) == unicodedata.normalize("NFC", once)
