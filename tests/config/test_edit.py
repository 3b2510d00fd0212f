"""One setting is changed, and nothing else of what its owner wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.config.edit import with_setting
from inglenook.config.yamltext import Section, Text, read_yaml

OWN = """# The kitchen's
name: Kitchen      # as phones see it

model:             # what answers
  context: 4096    # enough for us
  # path: /old.gguf
power: {unload_after: 1h}
"""


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("", "name", "Kitchen", "name: Kitchen\n"),
        ("", "model.path", "/a.gguf", "model:\n  path: /a.gguf\n"),
        ("# mine", "model.path", "/a", "# mine\nmodel:\n  path: /a\n"),
        ("model:\n", "model.path", "/a", "model:\n  path: /a\n"),
        ("model: null # x\n", "model.path", "/a", "model:\n  path: /a # x\n"),
        ("model:\n  path: /b # x\n", "model.path", "/a", "model:\n  path: /a # x\n"),
        ("model:\n  path: '/b'\n", "model.path", "/a", "model:\n  path: /a\n"),
        ("model:\n  path:\n", "model.path", "/a", "model:\n  path: /a\n"),
        ("model:\n    kv: f16\n", "model.path", "/a", "model:\n    path: /a\n    kv: f16\n"),
        ("model: {kv_type: f16}\n", "model.path", "/a", "model: {path: /a, kv_type: f16}\n"),
        ("model: {}\n", "model.path", "/a", "model: {path: /a}\n"),
        ("model: {path: b, context: 1}", "model.path", "/a", "model: {path: /a, context: 1}"),
        ("{name: x}", "model.path", "/a", "{model: {path: /a}, name: x}"),
        ("model:\n  path: /b\n", "model.path", None, "model:\n  path: null\n"),
        ("model:\r\n  path: /b\r\n", "model.path", "/a", "model:\r\n  path: /a\r\n"),
        ("---\nname: x\n", "state_dir", "/s", "---\nstate_dir: /s\nname: x\n"),
        ("name: x\n", "model.path", "/a b: c #d", 'name: x\nmodel:\n  path: "/a b: c #d"\n'),
        ("name: x\n", "name", "null", 'name: "null"\n'),
    ],
)
def test_the_setting_is_changed_where_it_stands(
    before: str, key: str, value: str | None, after: str
) -> None:
    """Or put where it belongs, in the way the file is written."""
    assert with_setting(before, key, value) == after


def test_comments_and_order_stay() -> None:
    """They are the owner's, and say why."""
    after = with_setting(OWN, "model.path", "/new.gguf")

    assert after == OWN.replace("  context: 4096", "  path: /new.gguf\n  context: 4096")


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1))
def test_any_value_is_read_as_it_is(value: str) -> None:
    """Whatever a path or a name may hold."""
    tree, findings = read_yaml(with_setting(OWN, "name", value))

    node = tree.entries["name"]
    assert findings == []
    assert isinstance(node, Text)
    assert (node.text, node.is_null) == (value, False)
    assert isinstance(tree.entries["model"], Section)


def test_what_cannot_be_changed_is_said() -> None:
    """A file that ends its document, or is none."""
    for text in ("name: x\n...\n", "- a\n", "name: [\n"):
        with pytest.raises(ValueError, match=r"^it (is written so that|cannot be read)"):
            with_setting(text, "model.path", "/a")


def test_a_change_that_would_change_another_setting_is_refused() -> None:
    """The name ends with the file, without a newline; whatever comes after it gives it one."""
    with pytest.raises(ValueError, match=r"^it is written so that model.path cannot be changed"):
        with_setting("name: |\n  x", "model.path", "/a")


def test_lists_and_what_is_in_them_stay() -> None:
    """They are compared, too."""
    before = "trusted: [a, {b: c}]\nname: x\n"

    assert with_setting(before, "name", "y") == "trusted: [a, {b: c}]\nname: y\n"
