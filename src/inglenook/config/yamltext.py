"""Parses YAML text into a tree of strings with line numbers. Kind: rules.

YAML would read ``10:20:30:40:50:10`` as a number in base 60 and ``on`` as true, and let the last of
two equal keys win. Here all scalars stay text, equal keys are a fault, and aliases, tags and deep
nesting are refused: settings never need them, and YAML bombs do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, TypeAlias

import yaml

_DEPTH_MAX = 8
_SHOWN_MAX = 40
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}
#: Texts that mean null, unless quoted.
NULLS = {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar value.

    Attributes:
        text: Without quotes and escapes.
        quoted: It was in quotes, so it is only text.
        line: Line of its setting, from 1.
    """

    text: str
    quoted: bool
    line: int

    @property
    def is_null(self) -> bool:
        """Whether it means null."""
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
        line: Its line, from 1.
        where: Dotted path of the setting; empty if it concerns none.
        what: What is wrong and what to write instead.
    """

    line: int
    where: str
    what: str


def read_yaml(text: str) -> tuple[Section, list[Finding]]:
    """Read a settings file.

    Returns:
        The readable settings, and the faults. After a syntax error there are no settings.
    """
    empty = Section({}, 1)
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        line = 1 if exc.problem_mark is None else exc.problem_mark.line + 1
        return empty, [Finding(line, "", _sentence(exc))]
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        return empty, [Finding(line, "", "a character that cannot be shown; remove it")]
    except (ValueError, OverflowError):
        # PyYAML does not check the numbers in "\U........" escapes and "%YAML" lines.
        return empty, [Finding(1, "", "not valid YAML: a number in it is out of range")]
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
    """Quote a text of the file, cut to fit a sentence."""
    return repr(text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…")


def dotted(section: str, name: str) -> str:
    """Return the path of a setting for people; an impossible name is quoted."""
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
