from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.discovery.addresses import InterfaceAddress
from inglenook.discovery.advert import Advert, instance_name, txt_record
from inglenook.discovery.box import Box, MdnsAnswer, networks_of, read_box

ADVERT = Advert(
    name="Dr. Smith's box",
    server_id="ab12cd34",
    version="0.1.0",
    port=8377,
    tls=True,
    fingerprint="AbCdEfGhIjKlMn_-",
    pairing_open=True,
    models=("Qwen2.5-1.5B",),
    mac="dc:a6:32:01:02:03",
    status="hot",
)
ANSWER = MdnsAnswer(
    name=instance_name(ADVERT.name),
    host_name="dr-smith-s-box-ab12.local.",
    port=8377,
    addresses=["192.168.1.20"],
    txt={key.encode(): value.encode() for key, value in txt_record(ADVERT).items()},
)


def test_a_box_reads_as_it_was_announced() -> None:
    """What one end writes the other understands, even a full stop in the name."""
    assert read_box(ANSWER) == Box(
        name="Dr. Smith's box",
        host_name="dr-smith-s-box-ab12.local",
        server_id="ab12cd34",
        addresses=("192.168.1.20",),
        port=8377,
        version="0.1.0",
        models=("Qwen2.5-1.5B",),
        status="hot",
        pairing_open=True,
        tls=True,
        fingerprint="AbCdEfGhIjKlMn_-",
        mac="dc:a6:32:01:02:03",
    )


@pytest.mark.parametrize(
    ("addresses", "tried"),
    [
        (["fe80::1%2", "fd77::1", "10.0.0.1"], ("10.0.0.1", "fd77::1", "fe80::1%2")),
        (["fe80::1", "fd77::1"], ("fd77::1",)),
        (["10.0.0.1", "10.0.0.1", "0.0.0.0", "224.0.0.251"], ("10.0.0.1",)),
    ],
)
def test_addresses_are_tried_in_the_order_most_programs_can_use_them(
    addresses: Sequence[str], tried: tuple[str, ...]
) -> None:
    """IPv4, then IPv6; link-local last, and only with the zone that makes it usable."""
    box = read_box(replace(ANSWER, addresses=addresses))
    assert box is not None
    assert box.addresses == tried


OWN = [
    InterfaceAddress("lan0", 2, "10.77.0.4", 24, is_ipv6=False),
    InterfaceAddress("lan0", 2, "fd77::4", 64, is_ipv6=True),
    InterfaceAddress("lan0", 2, "fe80::4", 64, is_ipv6=True),
    InterfaceAddress("lan1", 3, "169.254.7.7", 16, is_ipv6=False),
]


@pytest.mark.parametrize(
    ("addresses", "tried"),
    [
        # The box's other network comes first in the answer, and there is no way there.
        (["10.88.0.3", "10.77.0.33"], ("10.77.0.33", "10.88.0.3")),
        (["10.88.0.3", "fd77::1", "10.77.0.33"], ("10.77.0.33", "fd77::1", "10.88.0.3")),
        (["10.88.0.3", "fd77::1"], ("fd77::1", "10.88.0.3")),
        # A cable to this machine and nothing else; but what is routed is sooner of use to people.
        (["10.88.0.3", "169.254.1.1"], ("169.254.1.1", "10.88.0.3")),
        (["169.254.1.1", "10.77.0.33"], ("10.77.0.33", "169.254.1.1")),
        # Each link has those, so being in the same says nothing.
        (["fe80::1%2", "10.88.0.3"], ("10.88.0.3", "fe80::1%2")),
        (["10.88.0.3", "10.99.0.3"], ("10.88.0.3", "10.99.0.3")),
    ],
)
def test_addresses_in_the_askers_own_networks_come_first(
    addresses: Sequence[str], tried: tuple[str, ...]
) -> None:
    """And none is left out: a router may lead to the others."""
    box = read_box(replace(ANSWER, addresses=addresses), networks_of(OWN))
    assert box is not None
    assert box.addresses == tried


def test_addresses_are_bounded() -> None:
    """Anybody may announce any number, and each is asked."""
    box = read_box(replace(ANSWER, addresses=[f"10.0.0.{number}" for number in range(1, 200)]))
    assert box is not None
    assert len(box.urls) == 16


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("192.168.1.20", "http://192.168.1.20:8377"),
        ("fd77::1", "http://[fd77::1]:8377"),
        ("fe80::1%2", "http://[fe80::1%2]:8377"),
    ],
)
def test_a_url_brackets_ipv6(address: str, url: str) -> None:
    """RFC 3986 section 3.2.2."""
    box = read_box(replace(ANSWER, addresses=[address]))
    assert box is not None
    assert box.urls == (url,)


@pytest.mark.parametrize(
    "answer",
    [
        replace(ANSWER, addresses=[]),
        replace(ANSWER, addresses=["fe80::1"]),
        replace(ANSWER, port=0),
    ],
)
def test_what_nobody_can_connect_to_is_no_box(answer: MdnsAnswer) -> None:
    """A list of boxes is a list of places to go."""
    assert read_box(answer) is None


def test_what_a_stranger_leaves_out_or_gets_wrong_is_none() -> None:
    """A bad value is dropped; the box is still listed."""
    txt: dict[bytes, bytes | None] = {
        b"id": b"not hex!",
        b"mac": b"rm -rf",
        b"fp": b"short",
        b"st": b"on fire",
        b"pair": b"yes",
        b"model": None,
    }
    box = read_box(replace(ANSWER, txt=txt))
    assert box is not None
    assert (box.server_id, box.mac, box.fingerprint, box.status) == (None, None, None, None)
    assert (box.models, box.version, box.pairing_open, box.tls) == ((), None, False, False)


@pytest.mark.parametrize(
    ("txt", "models"),
    [
        ({b"model": b"small"}, ("small",)),
        ({b"model": b"small", b"models": b"small"}, ("small",)),
        ({b"model": b"small", b"models": b"small,large, tiny"}, ("small", "large", "tiny")),
        ({b"models": b",,small,"}, ("small",)),
        ({b"model": b"small", b"models": None}, ("small",)),
        ({b"model": b"", b"models": b","}, ()),
        ({b"models": b"x," * 100}, ("x",) * 16),
    ],
)
def test_a_box_says_one_model_or_several(txt: dict[bytes, bytes], models: tuple[str, ...]) -> None:
    """Earlier versions say one; strangers anything."""
    box = read_box(replace(ANSWER, txt=txt))
    assert box is not None
    assert box.models == models


def test_keys_count_in_any_case_and_the_first_of_two_wins() -> None:
    """RFC 6763 section 6.4."""
    box = read_box(replace(ANSWER, txt={b"ID": b"ab12cd34", b"id": b"ffffffff"}))
    assert box is not None
    assert box.server_id == "ab12cd34"


@given(
    st.text(),
    st.dictionaries(
        st.binary(max_size=9)
        | st.sampled_from([b"id", b"v", b"model", b"models", b"st", b"mac", b"fp"]),
        st.none() | st.binary(max_size=255),
    ),
)
def test_no_answer_breaks_the_reader_or_a_terminal(
    name: str, txt: dict[bytes, bytes | None]
) -> None:
    """Anybody on the network may write these; no escape sequence gets through."""
    box = read_box(replace(ANSWER, name=name, txt=txt))
    assert box is not None
    shown = f"{box.name}{box.models}{box.version}"
    assert not any(unicodedata.category(char) == "Cc" for char in shown)
    assert all(0 < len(name) <= 64 for name in box.models)
    assert len(box.models) <= 16
