"""YAML without its traps."""

from __future__ import annotations

import pytest

from inglenook.config.yamltext import Finding, Items, Section, Text, dotted, read_yaml, shown


def only_text(yaml: str) -> Text:
    tree, findings = read_yaml(f"key: {yaml}")
    assert findings == []
    node = tree.entries["key"]
    assert isinstance(node, Text)
    return node


@pytest.mark.parametrize(
    "written",
    ["10:20:30:40:50:10", "on", "yes", "0123", "0x20", "8_377", "1e3", "2026-01-01", "12:30", ".5"],
)
def test_a_value_stays_the_text_that_was_written(written: str) -> None:
    """YAML 1.1 would make a number, a truth value or a date of each."""
    assert only_text(written).text == written


@pytest.mark.parametrize(
    ("written", "is_null"),
    [("null", True), ("~", True), ("", True), ('"null"', False), ("''", False), ("none", False)],
)
def test_null_is_null_unless_quoted(written: str, is_null: bool) -> None:
    """A name may be the word null, in quotes."""
    assert only_text(written).is_null is is_null


def test_every_setting_knows_its_line() -> None:
    """The line of the setting's name, also where the value begins on the next."""
    tree, findings = read_yaml("# comment\nlisten:\n  port: 1\n  extra:\n  - 2\n  - 3\n")

    assert findings == []
    assert tree == Section(
        {
            "listen": Section(
                {
                    "port": Text("1", False, 3),
                    "extra": Items((Text("2", False, 5), Text("3", False, 6)), 4),
                },
                2,
            )
        },
        2,
    )


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "\ufeff", "null", "~"])
def test_nothing_is_no_settings(text: str) -> None:
    """An empty file is every default."""
    assert read_yaml(text) == (Section({}, 1), [])


@pytest.mark.parametrize(
    ("text", "line", "where", "what"),
    [
        ("a: 1\nb: 2\na: 3", 3, "a", "set twice, first on line 1; remove one of them"),
        ("s:\n  a: 1\n  a: 1", 3, "s.a", "set twice, first on line 2; remove one of them"),
        ("s: {a: 1}\ns: {b: 1}", 2, "s", "set twice, first on line 1; remove one of them"),
        ("'a': 1\na: 1", 2, "a", "set twice, first on line 1; remove one of them"),
        ("s:\n\ta: 1", 2, "", "a tab; indent with spaces"),
        ("s:\n  a: 1\n\tb: 1", 3, "", "a tab; indent with spaces"),
        ("a: &x 1", 1, "", "anchors and aliases (& and *) cannot be used here"),
        ("b: 1\na: *x", 2, "", "anchors and aliases (& and *) cannot be used here"),
        ("&x a: 1", 1, "", "anchors and aliases (& and *) cannot be used here"),
        ("a: !secret b", 1, "a", "tags such as '!secret' cannot be used here"),
        ("s: {a: !!int 1}", 1, "s.a", "tags such as 'tag:yaml.org,2002:int' cannot be used here"),
        ("a: " + "[" * 100, 1, "", "nested too deeply for settings"),
        ("[" * 100_000, 1, "", "nested too deeply for settings"),
        ("a: 1\n? [x]\n: y", 2, "", "a setting's name must be one word"),
        ("[a, b]", 1, "", "not settings; write lines such as 'name: Kitchen'"),
        ("\nword", 2, "", "not settings; write lines such as 'name: Kitchen'"),
        (
            "host: ::",
            1,
            "",
            "a ':' that does not fit; check the indentation, or put the value in quotes",
        ),
        (
            "a: 1\n---\nb: 2",
            2,
            "",
            "a second document begins; settings are one, so remove the '---'",
        ),
        ("a: 1\nb: \x07", 2, "", "a character that cannot be shown; remove it"),
        ('a: "\\UFFFFFFFF"', 1, "", "not valid YAML: a number in it is out of range"),
        ('a: "\\U00110000"', 1, "", "not valid YAML: a number in it is out of range"),
        (f"%YAML {'1' * 5000}.1\n---", 1, "", "not valid YAML: a number in it is out of range"),
        (
            "a: @b",
            1,
            "",
            "not valid YAML: found character '@' that cannot start any token",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, where: str, what: str) -> None:
    """In words that say what to do about it."""
    assert Finding(line, where, what) in read_yaml(text)[1]


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    """Nine lines of ten aliases each would be a billion values."""
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
    )

    tree, findings = read_yaml(bomb)

    assert tree == Section({}, 1)
    assert [finding.line for finding in findings] == [1]


@pytest.mark.parametrize(
    ("text", "quoted"), [("on", "'on'"), ("\x1b", r"'\x1b'"), ("x" * 41, f"'{'x' * 39}…'")]
)
def test_what_was_written_is_quoted_safely(text: str, quoted: str) -> None:
    """Short, and without anything that could move a terminal's cursor."""
    assert shown(text) == quoted


@pytest.mark.parametrize(
    ("section", "name", "path"),
    [
        ("listen", "port", "listen.port"),
        ("", "port", "port"),
        ("listen", "a.b", "listen.'a.b'"),
        ("", "", "''"),
        ("s", "x" * 50, f"s.'{'x' * 39}…'"),
    ],
)
def test_a_path_shows_odd_names_in_quotes(section: str, name: str, path: str) -> None:
    """So that a dot within a name is not taken for one between names."""
    assert dotted(section, name) == path
