"""How values are written, read and written again."""

from __future__ import annotations

from pathlib import Path

import pytest

from inglenook.config import values
from inglenook.config.values import Kind


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (values.whole(1, 64), "1", 1),
        (values.whole(1, 64), "64", 64),
        (values.whole(0, 64), "0", 0),
        (values.port, "8377", 8377),
        (values.port_or_off, "0", 0),
        (values.duration("20ms", "1s"), "20ms", 0.02),
        (values.duration("20ms", "1s"), "0.2s", 0.2),
        (values.duration("20ms", "1s"), "1 s", 1.0),
        (values.duration("1s", "7d"), "7d", 604_800.0),
        (values.duration("10s", "30d", zero="never"), "0", 0.0),
        (values.size("1GiB"), "0", 0),
        (values.size("1GiB"), "512MiB", 512 * 2**20),
        (values.size("1GiB"), "1gib", 2**30),
        (values.choice("f16", "q8_0"), "q8_0", "q8_0"),
        (values.or_auto(values.whole(1, 4)), "auto", None),
        (values.or_auto(values.whole(1, 4)), "4", 4),
        (values.boolean, "true", True),
        (values.boolean, "False", False),
        (values.name, "Küche 2", "Küche 2"),
        (values.name, "x" * 63, "x" * 63),
        (values.path, "/srv/model.gguf", Path("/srv/model.gguf")),
        (values.path, "models/a b.gguf", Path("models/a b.gguf")),
        (values.host, "0.0.0.0", "0.0.0.0"),
        (values.host, "::", "::"),
        (values.host, "FD00:0::5", "fd00::5"),
        (values.host, "Box.Tailnet.ts.net", "box.tailnet.ts.net"),
        (values.host, "kitchen-pi", "kitchen-pi"),
        (values.origin, "https://chat.example.com", "https://chat.example.com"),
        (values.origin, "http://[fd00::5]:3000/", "http://[fd00::5]:3000"),
        (values.origin, "capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_text_becomes_the_value_the_program_uses(kind: Kind, text: str, value: object) -> None:
    """Seconds, bytes, paths: the units of the program, not of the file."""
    read = kind.read(text)

    assert read == value
    assert type(read) is type(value) or isinstance(value, Path)


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        (values.whole(1, 64), "0", "'0' is not a whole number from 1 to 64"),
        (values.whole(1, 64), "65", "'65' is not a whole number from 1 to 64"),
        (values.whole(1, 64), "8.0", "'8.0' is not a whole number from 1 to 64"),
        (values.whole(1, 64), "08", "'08' is not a whole number from 1 to 64"),
        (values.whole(1, 64), "0x8", "'0x8' is not a whole number from 1 to 64"),
        (values.whole(1, 64), "-1", "'-1' is not a whole number from 1 to 64"),
        (values.whole(1, 64), "٣", "'٣' is not a whole number from 1 to 64"),
        (values.whole(1, 64), "", "'' is not a whole number from 1 to 64"),
        (values.whole(1, 64), "9" * 5000, f"'{'9' * 39}…' is not a whole number from 1 to 64"),
        (values.port, "0", "'0' is not a port from 1 to 65535"),
        (values.port_or_off, "65536", "'65536' is not a port from 1 to 65535, or 0 for off"),
        (
            values.duration("20ms", "1s"),
            "200",
            "'200' is not a duration from 20ms to 1s with its unit",
        ),
        (
            values.duration("20ms", "1s"),
            "0",
            "'0' is not a duration from 20ms to 1s with its unit",
        ),
        (
            values.duration("20ms", "1s"),
            "2s",
            "'2s' is not a duration from 20ms to 1s with its unit",
        ),
        (
            values.duration("10s", "30d", zero="never"),
            "1s",
            "'1s' is not a duration from 10s to 30d with its unit, or 0 for never",
        ),
        (
            values.size("1GiB"),
            "2GiB",
            "'2GiB' is not a size up to 1GiB with its unit, such as 512MiB, or 0 for off",
        ),
        (
            values.size("1GiB"),
            "9" * 400,
            f"'{'9' * 39}…' is not a size up to 1GiB with its unit, such as 512MiB, or 0 for off",
        ),
        (values.choice("f16", "q8_0"), "q4_0", "'q4_0' is not f16 or q8_0"),
        (
            values.or_auto(values.whole(1, 4)),
            "Auto",
            "'Auto' is not auto or a whole number from 1 to 4",
        ),
        (values.boolean, "on", "'on' is not true or false"),
        (values.boolean, "1", "'1' is not true or false"),
        (values.boolean, "10:20:30:40:50:10", "'10:20:30:40:50:10' is not true or false"),
        (values.name, "  ", "'  ' is not a name of 1 to 63 bytes that can be shown"),
        (values.name, "ü" * 32, f"'{'ü' * 32}' is not a name of 1 to 63 bytes that can be shown"),
        (values.name, "\ud800", r"'\ud800' is not a name of 1 to 63 bytes that can be shown"),
        (values.name, "a\nb", r"'a\nb' is not a name of 1 to 63 bytes that can be shown"),
        (
            values.path,
            "~/model.gguf",
            "'~/model.gguf' is not a path; write it from / on or relative to this file, without ~",
        ),
        (
            values.path,
            "\0",
            r"'\x00' is not a path; write it from / on or relative to this file, without ~",
        ),
        (values.host, "0.0.0.0:80", "'0.0.0.0:80' is not an address or host name, without port"),
        (
            values.host,
            "192.168.1.300",
            "'192.168.1.300' is not an address or host name, without port",
        ),
        (values.host, "http://box", "'http://box' is not an address or host name, without port"),
        (values.host, "küche.local", "'küche.local' is not an address or host name, without port"),
        (values.host, "box\n", r"'box\n' is not an address or host name, without port"),
        (
            values.origin,
            "chat.example.com",
            "'chat.example.com' is not an origin such as https://chat.example.com, without a path",
        ),
        (
            values.origin,
            "https://a.example/page",
            "'https://a.example/page' is not an origin such as https://chat.example.com, "
            "without a path",
        ),
        (
            values.origin,
            "*",
            "'*' is not an origin such as https://chat.example.com, without a path",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(kind: Kind, text: str, sentence: str) -> None:
    """The sentence shows what was written, the range and the unit."""
    with pytest.raises(ValueError, match="is not") as caught:
        kind.read(text)

    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        (values.duration("20ms", "1s"), 0.2, "200ms"),
        (values.duration("20ms", "1s"), 0.0335, "33.5ms"),
        (values.duration("1s", "7d"), 1.5, "1.5s"),
        (values.duration("1s", "7d"), 90.0, "90s"),
        (values.duration("1s", "7d"), 600.0, "10min"),
        (values.duration("1s", "7d"), 7200.0, "2h"),
        (values.duration("1s", "7d"), 604_800.0, "7d"),
        (values.duration("1s", "7d"), 604_799.5, "604799.5s"),
        (values.duration("10s", "30d", zero="never"), 0.0, 0),
        (values.size("4GiB"), 3 * 2**30, "3GiB"),
        (values.size("4GiB"), 512 * 2**20, "512MiB"),
        (values.size("4GiB"), 10**6, "1000000B"),
        (values.size("4GiB"), 2048, "2KiB"),
        (values.size("4GiB"), 0, 0),
        (values.or_auto(values.size("4GiB")), None, "auto"),
        (values.or_auto(values.size("4GiB")), 2**30, "1GiB"),
        (values.path, Path("/"), "/"),
        (values.boolean, True, True),
    ],
)
def test_a_value_is_written_so_that_it_can_be_read_again(
    kind: Kind, value: object, written: object
) -> None:
    """In the largest unit that loses nothing."""
    assert kind.write(value) == written
    assert kind.read(str(written)) == value


def test_thinking_is_a_word_or_a_number_of_tokens() -> None:
    """And stays a text: templates are told words, the engine numbers."""
    assert [values.thinking.read(text) for text in ("auto", "512")] == ["auto", "512"]
    with pytest.raises(ValueError, match="999999"):
        values.thinking.read("0")
