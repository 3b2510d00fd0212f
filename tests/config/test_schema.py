"""The schema, the dataclasses and the example file say the same."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.config.parse import Surroundings, parse_config
from inglenook.config.schema import SETTINGS, Setting, show
from inglenook.config.yamltext import Section, read_yaml

EXAMPLE = (Path(__file__).parents[2] / "config.example.yaml").read_text(encoding="utf-8")
HERE = Surroundings(Path("/etc/inglenook"), {"HOME": "/home/anna"}, "kitchen-pi")


def keys(tree: Section, prefix: str = "") -> Iterator[str]:
    for name, node in tree.entries.items():
        if isinstance(node, Section):
            yield from keys(node, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def fields(value: object, prefix: str = "") -> Iterator[str]:
    assert dataclasses.is_dataclass(value)
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            yield from fields(inner, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


def test_the_example_names_every_setting_once() -> None:
    """In the order of the schema; a repeat would be a finding."""
    tree, findings = read_yaml(EXAMPLE)

    assert findings == []
    assert list(keys(tree)) == [setting.key for setting in SETTINGS]


def test_every_field_of_the_config_has_one_setting() -> None:
    """Nothing can be set that the program has no place for, nor the other way round."""
    config = parse_config("", "config", HERE)

    assert sorted(setting.field for setting in SETTINGS) == sorted(set(fields(config)))


def test_every_default_in_the_example_is_the_codes() -> None:
    """Loading the example changes nothing."""
    example = parse_config(EXAMPLE, "config.example.yaml", HERE)

    assert example == parse_config("", "config", HERE)


def comment(key: str) -> str:
    """Give what the example says beside a setting, over all its lines."""
    section, _, name = key.rpartition(".")
    body = EXAMPLE.partition(f"\n{section}:\n")[2] if section else EXAMPLE
    match = re.search(rf"^ *{name}:[^#]*#(.*(?:\n +#.*)*)", body, re.MULTILINE)
    assert match is not None, f"{key} has no comment"
    return " ".join(match[1].replace("#", " ").split())


#: What the comment of such a kind of value must name.
UNITS = {
    "a name of": "bytes",
    "a path": "path|folder",
    "an address": "address",
    "a port": "port",
    "an origin": "https://",
    "auto or a number of tokens": "tokens .* auto:",
    "auto, on, off, or a number of tokens": "tokens .* auto:",
    "auto or a whole number": "number .* auto:",
    "a whole number": "number",
    "a duration": "duration",
    "auto or a size": "size",
    "true or false": "true or false:",
    "hours": "07:00",
    "a name and a MAC": "=aa:bb",
    "auto or f16 or q8_0": "f16, or q8_0 .* auto:",
    "off or auto": "off; auto:",
}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_setting_in_the_example_has_its_unit_and_limits_beside_it(setting: Setting) -> None:
    """So that the example is all the reference anybody needs."""
    said = comment(setting.key)
    unit = next(unit for kind, unit in UNITS.items() if setting.kind.expects.startswith(kind))

    assert re.search(unit, said)
    limits = re.search(r"from (\w+) to (\w+)", setting.kind.expects)
    if limits is not None and unit != "port":
        assert f"{limits[1]} to {limits[2]}" in said
    assert ("null:" in said) is setting.optional


def test_what_is_shown_can_be_loaded_and_is_the_same() -> None:
    """``inglenook config`` is a settings file."""
    text = """
    name: "on"
    state_dir: /var/lib/inglenook
    listen: {host: "::", port: 0, tls_port: 443, extra: [80, 11434], names: [box.example.com],
             origins: ["https://chat.example.com"]}
    model: {path: models/a.gguf, context: 8192, kv_type: auto}
    engine: {max_sequences: 1, threads: 3, step_budget: 33.5ms, speculation: auto}
    cache: {ram: 0, disk: 1.5GB}
    serving: {queue: 1, resume_ttl: 90s, unread_grace: 0, journal: false}
    governor: {enabled: false, root: /srv/board}
    discovery: {enabled: false, mac: false}
    power: {unload_after: 0, stop_after: 90s, suspend_after: 2d, awake_hours: "22:00-06:30"}
    wake: {udp_port: 0, targets: [Office=AA-BB-CC-DD-EE-FF, "a=b=00:11:22:33:44:55"]}
    """
    config = parse_config(text, "config", HERE)

    assert parse_config(show(config), "config", HERE) == config


def test_defaults_are_shown_as_people_write_them() -> None:
    """Units, ``auto``, and what was worked out."""
    shown = show(parse_config("", "config", HERE))

    assert shown.startswith("name: Kitchen-Pi\nstate_dir: /home/anna/.local/state/inglenook\n")
    assert "\n  step_budget: 200ms\n" in shown
    assert "\n  unload_after: 15min\n" in shown
    assert "\n  threads: auto\n" in shown
    assert "\n  path: null\n" in shown
