"""Who may import whom: the table of docs/architecture.md, held by walking every import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "inglenook"

#: What each room may import beside the standard library, its libraries, `COMMON` and itself.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "protocol": (),
    "auth": (),
    "chat": (),
    "engine": (),
    "governor": (),
    "models": (),
    "discovery": (),
    "power": (),
    "serving": ("engine.interface", "engine.orders", "engine.events", "chat"),
    "gateway": ("serving", "auth", "protocol", "chat", "engine.interface"),
    "config": (
        "discovery.settings",
        "engine.settings",
        "gateway.settings",
        "governor.settings",
        "power.settings",
        "serving.settings",
    ),
    "systemd": (),
    "common": (),
    "client": ("discovery", "protocol"),
    "cli": ("",),
    "daemon": ("",),
}

COMMON = ("common", "__version__")

#: What rules and words keep away from: the outside, the clock, and chance.
OUTSIDE = {
    "aiohttp",
    "asyncio",
    "llama_cpp",
    "os",
    "random",
    "secrets",
    "selectors",
    "signal",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "time",
    "websockets",
    "zeroconf",
}

#: Wiring: these put parts together and are none themselves.
WIRING = ("__init__", "__main__")


@dataclass(frozen=True)
class Module:
    """One source file.

    Attributes:
        name: Dotted, without ``inglenook``.
        imports: Everything it imports when it runs, as dotted names.
        kind: As its docstring says; empty if it says none.
    """

    name: str
    imports: frozenset[str]
    kind: str

    @property
    def room(self) -> str:
        """Its folder, or its own name if it stands in none."""
        return self.name.partition(".")[0]

    @property
    def ours(self) -> list[str]:
        """What it imports of this program, without ``inglenook``."""
        return sorted(
            name.removeprefix("inglenook.")
            for name in self.imports
            if name.startswith("inglenook.")
        )


def read(path: Path) -> Module:
    tree = ast.parse(path.read_text())
    docstring = ast.get_docstring(tree) or ""
    kind = re.search(r"Kind: (words|rules|hands)\.", docstring.partition("\n\n")[0])
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    return Module(name, frozenset(imported(tree)), kind[1] if kind else "")


def imported(node: ast.AST) -> Iterator[str]:
    """Every import but those for type checkers only."""
    below: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        below = node.orelse
    for child in below:
        yield from imported(child)


MODULES = [read(path) for path in sorted(SOURCE.rglob("*.py"))]
KINDS = {module.name: module.kind for module in MODULES}


def is_in(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}." if room else "") for room in rooms)


def module_of(name: str) -> str:
    """The module that an imported name is, or is in."""
    return name if name in KINDS else name.rpartition(".")[0]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_room_imports_only_what_its_row_allows(module: Module) -> None:
    """Lower rooms never import each other, and nothing imports upward."""
    if module.name == "__init__":
        assert module.ours == []
    elif module.name == "__main__":
        assert module.ours == ["cli.main"]
    else:
        allowed = (*MAY_IMPORT[module.room], *COMMON, module.room)
        assert [name for name in module.ours if not is_in(name, allowed)] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_says_what_kind_it_is(module: Module) -> None:
    """Words, rules or hands; only wiring and the command line are neither."""
    if module.room == "cli" or module.name.rpartition(".")[2] in WIRING:
        assert module.kind == "" or module.name == "engine.worker.__main__"
    else:
        assert module.kind


@pytest.mark.parametrize(
    "module",
    [module for module in MODULES if module.kind in ("rules", "words")],
    ids=lambda module: module.name,
)
def test_rules_and_words_touch_nothing_outside(module: Module) -> None:
    """No clock, no chance, no file handle, no socket; and no module that does."""
    assert {name.partition(".")[0] for name in module.imports} & OUTSIDE == set()
    assert [name for name in module.ours if KINDS.get(module_of(name)) == "hands"] == []


def test_only_the_worker_imports_the_library() -> None:
    """And nothing imports the worker: the daemon stays small, and cannot be aborted by it."""
    for module in MODULES:
        if not module.name.startswith("engine.worker"):
            libraries = {name.partition(".")[0] for name in module.imports}
            assert "llama_cpp" not in libraries, module.name
            assert not any(is_in(name, ("engine.worker",)) for name in module.ours), module.name


def test_nothing_imports_the_wiring() -> None:
    """The daemon is started by the command line, and the command line by nobody."""
    for module in MODULES:
        if module.room not in ("cli", "daemon"):
            assert not any(is_in(name, ("daemon",)) for name in module.ours), module.name
        if module.room not in ("cli", "__main__"):
            assert not any(is_in(name, ("cli",)) for name in module.ours), module.name


def test_the_documented_table_has_every_room() -> None:
    """docs/architecture.md tells the same rooms, and no others."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `([a-z]+)(?:/|\.py)` \|", text, re.MULTILINE)

    assert sorted(rows) == sorted(MAY_IMPORT)
    folders = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    assert folders | {"systemd"} == set(MAY_IMPORT)


def test_the_check_sees_what_it_is_for() -> None:
    """A forbidden import in any form is found, one for type checkers is not."""
    text = (
        "import os.path\n"
        "if TYPE_CHECKING:\n    import socket\nelse:\n    import time\n"
        "def f():\n    from inglenook.gateway.http import app\n"
    )

    assert set(imported(ast.parse(text))) == {"os.path", "time", "inglenook.gateway.http.app"}
    assert module_of("gateway.http.app") == "gateway.http.app"
    assert module_of("gateway.context.BOX") == "gateway.context"


def test_no_module_has_more_than_250_lines() -> None:
    """CONTRIBUTING.md says so."""
    sizes = {path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}

    assert {str(path): size for path, size in sizes.items() if size > 250} == {}


@pytest.mark.slow
def test_a_public_class_name_means_one_thing() -> None:
    """Whatever package it is in: readers search for names."""
    found: dict[str, list[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(path.name)

    assert {name: files for name, files in found.items() if len(files) > 1} == {}


#: Of the word list in CONTRIBUTING.md, what a search can find without a mistake.
AVOIDED = re.compile(
    r"\b(newcomers?|somebody|whoever|who comes|parked|stands? aside|but for|for want of)\b", re.I
)

#: Pages that follow the list; figures that benchmarks write are as they were.
PLAIN = ("architecture.md", "limits.md", "operations.md", "sleep.md", "thermal.md")


@pytest.mark.parametrize("page", [*(f"docs/{name}" for name in PLAIN), "README.md"])
def test_pages_use_the_words_of_the_field(page: str) -> None:
    """As CONTRIBUTING.md lists them."""
    lines = (ROOT / page).read_text().partition("<!-- figures -->")[0].splitlines()

    assert [line for line in lines if AVOIDED.search(line)] == []
