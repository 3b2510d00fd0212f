"""YAML text to a tree of strings with line numbers, without YAML's traps. Kind: rules.

YAML would read ``10:20:30:40:50:10`` as a number in base 60 and ``on`` as true, and let the last of
two equal keys win. Here every scalar stays the text that was written, equal keys are a fault, and
aliases, tags and deep nesting, which settings never need and bombs are made of, are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, TypeAlias

import yaml

_DEPTH_MAX = 8
_SHOWN_MAX = 40
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}
#: What says that there is no value, unless it stands in quotes.
NULLS = {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True, slots=True)
class Text:
    """One value, as written.

    Attributes:
        text: Without quotes and escapes.
        quoted: It stood in quotes, so it means nothing but its text.
        line: Where its setting stands, from 1.
    """

    text: str
    quoted: bool
    line: int

    @property
    def is_null(self) -> bool:
        """It says that there is no value."""
        return not self.quoted and self.text in NULLS


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Section:
    """Settings under one name."""

    entries: dict[str, Node]
    line: int


Node: TypeAlias = Text | Items | Section


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something wrong with the text.

    Attributes:
        line: Where, from 1.
        where: Dotted path of the setting; empty if it is not about one.
        what: What is wrong and what to write instead.
    """

    line: int
    where: str
    what: str


def read_yaml(text: str) -> tuple[Section, list[Finding]]:
    """Read a settings file.

    Returns:
        What could be read, and what is wrong. After a fault in the syntax nothing is read.
    """
    empty = Section({}, 1)
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as exc:
        line = 1 if exc.problem_mark is None else exc.problem_mark.line + 1
        return empty, [Finding(line, "", _sentence(exc))]
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        return empty, [Finding(line, "", "a character that cannot be shown; remove it")]
    except (ValueError, OverflowError):
        # PyYAML does not check the numbers in "\U........" escapes and "%YAML" lines.
        return empty, [Finding(1, "", "not valid YAML: a number in it is out of range")]
    finally:
        if loader is not None:
            loader.dispose()
    if root is None:
        return empty, []
    findings: list[Finding] = []
    tree = _build(root, "", root.start_mark.line + 1, findings)
    if isinstance(tree, Text) and tree.is_null:
        return empty, findings
    if not isinstance(tree, Section):
        return empty, [Finding(tree.line, "", "not settings; write lines such as 'name: Kitchen'")]
    return tree, findings


def shown(text: str) -> str:
    """Quote what somebody wrote, cut to what fits a sentence."""
    return repr(text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…")


def dotted(section: str, name: str) -> str:
    """Give the path of a setting for people; a name that could not be one is put in quotes."""
    name = name if name.isidentifier() and len(name) <= _SHOWN_MAX else shown(name)
    return f"{section}.{name}" if section else name


class _Loader(yaml.BaseLoader):
    """Composes nodes, without resolving what their text could mean."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # stub lacks it
        if getattr(event, "anchor", None) is not None:  # of an anchor or of an alias
            self._refuse(event, "anchors and aliases (& and *) cannot be used here")
        if self._depth == _DEPTH_MAX:
            self._refuse(event, "nested too deeply for settings")
        self._depth += 1
        node = super().compose_node(parent, index)  # type: ignore[arg-type]  # the stub wants an int
        self._depth -= 1
        return node

    @staticmethod
    def _refuse(event: yaml.Event, problem: str) -> NoReturn:
        raise yaml.composer.ComposerError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type]  # the stub leaves out what the C parser gives


def _sentence(exc: yaml.MarkedYAMLError) -> str:
    problem = exc.problem or exc.context or "unreadable"
    if "'\\t'" in problem:
        return "a tab; indent with spaces"
    if problem.startswith("mapping values are not allowed"):
        return "a ':' that does not fit; check the indentation, or put the value in quotes"
    if "another document" in problem:
        return "a second document begins; settings are one, so remove the '---'"
    if isinstance(exc, yaml.composer.ComposerError):  # one of ours
        return problem
    return f"not valid YAML: {problem}"


def _build(node: yaml.Node, where: str, line: int, findings: list[Finding]) -> Node:
    if node.tag not in _PLAIN_TAGS:
        findings.append(Finding(line, where, f"tags such as {shown(node.tag)} cannot be used here"))
    if isinstance(node, yaml.ScalarNode):
        return Text(node.value, node.style is not None, line)
    if isinstance(node, yaml.SequenceNode):
        items = (_build(item, where, item.start_mark.line + 1, findings) for item in node.value)
        return Items(tuple(items), line)
    assert isinstance(node, yaml.MappingNode)
    return Section(_entries(node, where, findings), line)


def _entries(node: yaml.MappingNode, where: str, findings: list[Finding]) -> dict[str, Node]:
    entries: dict[str, Node] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            findings.append(Finding(line, where, "a setting's name must be one word"))
            continue
        path = dotted(where, key.value)
        if key.value in entries:
            first = entries[key.value].line
            findings.append(
                Finding(line, path, f"set twice, first on line {first}; remove one of them")
            )
            continue
        entries[key.value] = _build(value, path, line, findings)
    return entries
