"""A settings file becomes a Config, or a report of everything wrong with it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inglenook.common.errors import ConfigError, Fault
from inglenook.config.parse import Surroundings, parse_config
from inglenook.config.schema import SETTINGS, Config

FOLDER = Path("/etc/inglenook")
HERE = Surroundings(FOLDER, {"HOME": "/home/anna"}, "kitchen-pi")


def parse(text: str, around: Surroundings = HERE) -> Config:
    return parse_config(text, "config.yaml", around)


def faults(text: str, around: Surroundings = HERE) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, around)
    assert caught.value.source == "config.yaml"
    return [str(fault) for fault in caught.value.faults]


def test_what_the_file_sets_is_in_force() -> None:
    """Each value in its room, in the program's units."""
    config = parse(
        "name: Kitchen\n"
        "state_dir: /var/lib/inglenook\n"
        "listen: {port: 80, extra: [11434]}\n"
        "model: {path: /srv/model.gguf, context: 8192, kv_type: q8_0}\n"
        "engine: {threads: 3, step_budget: 150ms}\n"
        "serving:\n"
        "  resume_ttl: 1h\n"
    )

    assert config.name == "Kitchen"
    assert config.state_dir == Path("/var/lib/inglenook")
    assert (config.listen.port, config.listen.tls_port, config.listen.extra) == (80, 8378, (11434,))
    assert config.model.path == Path("/srv/model.gguf")
    assert (config.engine.context_tokens, config.engine.kv_type) == (8192, "q8_0")
    assert (config.engine.threads, config.engine.step_budget_s) == (3, 0.15)
    assert (config.serving.resume_ttl_s, config.serving.queue) == (3600.0, 64)


def test_relative_paths_start_from_the_files_folder() -> None:
    """The file means the same wherever the program is started."""
    config = parse("state_dir: state\nmodel: {path: ../models/a.gguf}\ngovernor: {root: fake}")

    assert config.state_dir == FOLDER / "state"
    assert config.model.path == FOLDER / "../models/a.gguf"
    assert config.governor.root == FOLDER / "fake"


def test_a_section_whose_settings_are_commented_out_is_all_defaults() -> None:
    """As is the whole file."""
    assert parse("listen:\n  # port: 80\n") == parse("")


def test_off_is_a_word_where_a_word_is_expected() -> None:
    """YAML 1.1 would make it false, with and without quotes being two things."""
    for text in ("off", "'off'", "auto"):
        config = parse(f"engine: {{speculation: {text}}}")

        assert config.engine.speculation == text.strip("'")


@pytest.mark.parametrize(
    ("environ", "state_dir"),
    [
        ({"STATE_DIRECTORY": "/var/lib/inglenook", "HOME": "/root"}, "/var/lib/inglenook"),
        ({"STATE_DIRECTORY": "/var/lib/inglenook:/var/lib/more"}, "/var/lib/inglenook"),
        ({"STATE_DIRECTORY": "", "HOME": "/root"}, "/root/.local/state/inglenook"),
        ({"XDG_STATE_HOME": "/srv/state", "HOME": "/root"}, "/srv/state/inglenook"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/root"}, "/root/.local/state/inglenook"),
        ({"HOME": "/home/anna"}, "/home/anna/.local/state/inglenook"),
    ],
)
def test_state_is_kept_where_the_system_says(environ: dict[str, str], state_dir: str) -> None:
    """Under systemd, under a desktop, and for a user of neither."""
    assert parse("", Surroundings(FOLDER, environ, "")).state_dir == Path(state_dir)


def test_the_file_says_where_state_is_kept_before_the_system_does() -> None:
    """So that ``sudo inglenook devices`` looks where the daemon does."""
    around = Surroundings(FOLDER, {"STATE_DIRECTORY": "/elsewhere"}, "")

    assert parse("state_dir: /srv/state", around).state_dir == Path("/srv/state")


def test_a_system_that_says_nothing_is_a_fault() -> None:
    """Rather than state in whatever folder this was started from."""
    nowhere = Surroundings(FOLDER, {}, "")

    assert faults("name: Kitchen", nowhere) == [
        "state_dir: no folder for state, as HOME is not set either; write one here"
    ]
    assert parse("state_dir: /srv", nowhere).state_dir == Path("/srv")


@pytest.mark.parametrize(
    ("host_name", "name"),
    [
        ("kitchen-pi", "Kitchen-Pi"),
        ("kitchen.home.arpa", "Kitchen"),
        ("localhost", "Inglenook"),
        ("localhost.localdomain", "Inglenook"),
        ("", "Inglenook"),
    ],
)
def test_a_box_without_a_name_is_called_by_its_host_name(host_name: str, name: str) -> None:
    """As people would write it."""
    assert parse("", Surroundings(FOLDER, {"HOME": "/"}, host_name)).name == name


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("prot: 1", "prot: unknown setting, did you mean 'listen.port'? (line 1)"),
        ("listen: {prot: 1}", "listen.prot: unknown setting, did you mean 'port'? (line 1)"),
        ("listn: {port: 1}", "listn: unknown setting, did you mean 'listen'? (line 1)"),
        (
            "listen.port: 1",
            "'listen.port': unknown setting; write 'port:' indented below 'listen:' (line 1)",
        ),
        ("zzz: 1", "zzz: unknown setting (line 1)"),
        ("'': 1", "'': unknown setting (line 1)"),
        ("<<: {port: 1}", "'<<': unknown setting (line 1)"),
        ("'a\\x1b': 1", r"'a\\x1b': unknown setting (line 1)"),
        (
            "listen: 8377",
            "listen: not one value but a section; write its settings below it, indented (line 1)",
        ),
        (
            "listen: []",
            "listen: not one value but a section; write its settings below it, indented (line 1)",
        ),
        (
            "\nlisten:\n  port: on",
            "listen.port: 'on' is not a port from 1 to 65535, or 0 for off (line 3)",
        ),
        (
            "listen:\n  port:\n",
            "listen.port: no value; write a port from 1 to 65535, or 0 for off, or remove the line "
            "(line 2)",
        ),
        (
            "listen: {port: [1]}",
            "listen.port: a list, where one value belongs: a port from 1 to 65535, or 0 for off "
            "(line 1)",
        ),
        (
            "listen: {port: {a: 1}}",
            "listen.port: a section, where one value belongs: a port from 1 to 65535, or 0 for off "
            "(line 1)",
        ),
        (
            "listen: {extra: 11434}",
            "listen.extra: not a list; write it in brackets, such as [a, b], or [] for none "
            "(line 1)",
        ),
        (
            "listen: {extra: [1, x]}",
            "listen.extra: 'x' is not a port from 1 to 65535 (line 1)",
        ),
        (
            "listen: {names: [[box]]}",
            "listen.names: a list, where one value belongs: an address or host name, without port "
            "(line 1)",
        ),
        (
            "discovery:\n  mac: 10:20:30:40:50:10",
            "discovery.mac: '10:20:30:40:50:10' is not true or false (line 2)",
        ),
        ("discovery: {enabled: yes}", "discovery.enabled: 'yes' is not true or false (line 1)"),
        (
            "serving: {resume_ttl: 600}",
            "serving.resume_ttl: '600' is not a duration from 1s to 7d with its unit (line 1)",
        ),
        (
            "engine: {max_sequences: 65}",
            "engine.max_sequences: '65' is not a whole number from 1 to 64 (line 1)",
        ),
        ("name: ''", "name: '' is not a name of 1 to 63 bytes that can be shown (line 1)"),
        (
            "listen: {port: 0, tls_port: 0}",
            "listen: port, tls_port and extra are all off; set one of them (line 1)",
        ),
        (
            "listen: {port: 8378}",
            "listen: port 8378 is given twice in port, tls_port and extra (line 1)",
        ),
        (
            "name: a\nlisten: {extra: [99, 99, 99]}",
            "listen: port 99 is given twice in port, tls_port and extra (line 2)",
        ),
        (
            "wake:\n  targets: [Nas=aa-bb-cc-dd-ee-ff, NAS=00-11-22-33-44-55]",
            "wake.targets: two machines are called 'nas'; give each a name of its own (line 2)",
        ),
        ("a: 1\n\tb: 2", "line 2: a tab; indent with spaces"),
    ],
)
def test_a_fault_says_what_where_and_what_instead(text: str, fault: str) -> None:
    """In one sentence, with the line."""
    assert faults(text) == [fault]


def test_every_fault_is_in_one_report_in_the_order_of_the_file() -> None:
    """Nobody mends a file one start at a time."""
    assert faults(
        "name: Kitchen\n"
        "listen:\n"
        "  prot: 8377\n"
        "  tls_port: high\n"
        "name: Study\n"
        "power: never\n"
        "engine: {threads: 0, step_budget: 2s}\n"
    ) == [
        "listen.prot: unknown setting, did you mean 'port'? (line 3)",
        "listen.tls_port: 'high' is not a port from 1 to 65535, or 0 for off (line 4)",
        "name: set twice, first on line 1; remove one of them (line 5)",
        "power: not one value but a section; write its settings below it, indented (line 6)",
        "engine.step_budget: '2s' is not a duration from 20ms to 1s with its unit (line 7)",
        "engine.threads: '0' is not auto or a whole number from 1 to 256 (line 7)",
    ]


def test_a_report_names_the_setting_apart_from_the_sentence() -> None:
    """Programs that show faults need not take sentences apart."""
    with pytest.raises(ConfigError) as caught:
        parse("engine: {threads: 0}")

    assert caught.value.faults == [
        Fault("engine.threads", "'0' is not auto or a whole number from 1 to 256 (line 1)")
    ]


SECTIONS = sorted({setting.key.partition(".")[0] for setting in SETTINGS})
NAMES = sorted({setting.key.rpartition(".")[2] for setting in SETTINGS})
VALUES = st.sampled_from(
    ["null", "auto", "on", "0", "1", "9" * 400, "8377", "200ms", "1GiB", "[]", "[1, a]", "{a: b}"]
) | st.text(max_size=20)


@given(
    st.text(max_size=200)
    | st.text(alphabet=" \n\t:-[]{}&*!|>'\"%@`#?,~\\U\ufeffab019", max_size=80)
)
@example('"\\U00110000"')
@example("%YAML 1.99999999999999999999\n---\na: 1")
def test_no_text_ends_in_anything_but_settings_or_a_report(text: str) -> None:
    """Whatever file is given by mistake, the operator reads sentences."""
    with suppress(ConfigError):
        parse(text)


@given(
    st.dictionaries(
        st.sampled_from(SECTIONS),
        st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), VALUES, max_size=4) | VALUES,
        max_size=4,
    )
)
def test_nothing_in_the_place_of_a_value_ends_otherwise(tree: dict[str, object]) -> None:
    """The same, where every value gets as far as its conversion."""
    lines = []
    for section, inner in tree.items():
        if isinstance(inner, dict):
            lines += [f"{section}:", *(f"  {name}: {value}" for name, value in inner.items())]
        else:
            lines.append(f"{section}: {inner}")
    with suppress(ConfigError):
        parse("\n".join(lines))
