"""Changes one setting in a file's text, and nothing else of it. Kind: rules."""

from __future__ import annotations

import json
import re

import yaml

from inglenook.config.yamltext import Items, Node, Section, Text, read_yaml

#: Text that needs no quotes anywhere.
_PLAIN = re.compile(r"[\w/][\w/.+-]*( [\w/.+-]+)*")

_NULL = "null"


def with_setting(text: str, key: str, value: str | None) -> str:
    """Return the text of a settings file with one setting changed.

    Args:
        text: The file's valid content.
        key: Dotted path of the setting, of one or two parts.
        value: Its new value; None is null, which stands for the default.

    Raises:
        ValueError: If the file's form does not allow it.
    """
    wanted = {**_leaves(text), key: value}
    written = _NULL if value is None else _written(value)
    section, _, name = key.rpartition(".")
    root = yaml.compose(text, Loader=yaml.BaseLoader)
    if not isinstance(root, yaml.MappingNode):  # nothing in it but comments, or null
        changed = _appended("" if root is not None else text, section, name, written)
    elif not section:
        changed = _in_mapping(text, root, name, written)
    else:
        changed = _in_section(text, root, (section, name), written)
    if _leaves(changed) != {name: said for name, said in wanted.items() if said is not None}:
        raise ValueError(f"it is written so that {key} cannot be changed")
    return changed


def _in_section(text: str, root: yaml.MappingNode, key: tuple[str, str], written: str) -> str:
    section, name = key
    inner = _value(root, section)
    if isinstance(inner, yaml.MappingNode):
        return _in_mapping(text, inner, name, written)
    if isinstance(inner, yaml.ScalarNode):  # null: all its settings are commented out
        start, stop = inner.start_mark.index, inner.end_mark.index
        return f"{text[:start].rstrip(' ')}\n  {name}: {written}{text[stop:]}"
    if root.flow_style:
        return _in_mapping(text, root, section, f"{{{name}: {written}}}")
    return _appended(text, section, name, written)


def _in_mapping(text: str, mapping: yaml.MappingNode, name: str, written: str) -> str:
    value = _value(mapping, name)
    if value is not None:
        start, stop = value.start_mark.index, value.end_mark.index
        joint = " " if text[start - 1] == ":" else ""
        return f"{text[:start]}{joint}{written}{text[stop:]}"
    if mapping.flow_style:
        start = mapping.start_mark.index + 1
        joint = ", " if mapping.value else ""
        return f"{text[:start]}{name}: {written}{joint}{text[start:]}"
    first = mapping.value[0][0].start_mark
    indent = " " * first.column
    return f"{text[: first.index]}{name}: {written}\n{indent}{text[first.index :]}"


def _appended(text: str, section: str, name: str, written: str) -> str:
    before = text if not text or text.endswith("\n") else f"{text}\n"
    line = f"{section}:\n  {name}: {written}\n" if section else f"{name}: {written}\n"
    return before + line


def _value(mapping: yaml.MappingNode, name: str) -> yaml.Node | None:
    return next((value for key, value in mapping.value if key.value == name), None)


def _written(value: str) -> str:
    """Quote a text so that YAML reads it unchanged; JSON's strings are YAML's, too."""
    plain = _PLAIN.fullmatch(value) and value.lower() != _NULL
    return value if plain else json.dumps(value, ensure_ascii=False)


def _leaves(text: str) -> dict[str, object]:
    """Return all settings that have a value, with it."""
    tree, findings = read_yaml(text)
    if findings:
        raise ValueError("it cannot be read")
    found: dict[str, object] = {}
    for name, node in tree.entries.items():
        if isinstance(node, Section):
            found |= {f"{name}.{key}": _said(leaf) for key, leaf in node.entries.items()}
        else:
            found[name] = _said(node)
    return {name: said for name, said in found.items() if said is not None}


def _said(node: Node) -> object:
    if isinstance(node, Text):
        return None if node.is_null else node.text
    if isinstance(node, Items):
        return [_said(item) for item in node.items]
    return {key: _said(inner) for key, inner in node.entries.items()}
