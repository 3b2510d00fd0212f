"""Makes any hand of the program, and any callable handed in to it, throw what nobody foresaw.

What there is to throw is read from the source, so that nothing new is left out by accident: every
public function and method of the modules that are hands, and every parameter or field that takes a
callable. The command line and the engine's own process are other programs.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "inglenook"

#: Other processes, of which users run two: how they end is tested elsewhere.
ELSEWHERE = ("cli", "client", "engine.worker")

_CALLABLE = ("Callable[", "Awaitable[", "Coroutine[")


@dataclass(frozen=True, slots=True)
class Throwable:
    """One thing that may throw.

    Attributes:
        module: Dotted, without ``inglenook``.
        owner: The class it is in; empty for a function.
        function: Its name, or the name of what the callable is handed to.
        parameter: The parameter that takes the callable; empty if it is the function itself.
    """

    module: str
    owner: str
    function: str
    parameter: str = ""

    def __str__(self) -> str:
        where = f"{self.owner}.{self.function}" if self.owner else self.function
        return f"{self.module}:{where}" + (f"({self.parameter})" if self.parameter else "")


@functools.cache
def modules() -> tuple[tuple[str, ast.Module], ...]:
    """Every module of the daemon's process, by its dotted name."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        if path.stem.startswith("__"):
            continue  # these put parts together and are none themselves
        if not any(name == other or name.startswith(f"{other}.") for other in ELSEWHERE):
            found.append((name, ast.parse(path.read_text())))
    return tuple(found)


@functools.cache
def throwables() -> tuple[Throwable, ...]:
    """All there are."""
    trees = dict(modules())
    aliases = {
        node.target.id
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and ast.unparse(node.annotation) == "TypeAlias"
        and node.value is not None
        and any(word in ast.unparse(node.value) for word in _CALLABLE)
    }
    found = [each for name, tree in trees.items() for each in _throwables_of(name, tree, aliases)]
    return tuple(dict.fromkeys(found))


def _throwables_of(module: str, tree: ast.Module, aliases: set[str]) -> Iterator[Throwable]:
    hands = "Kind: hands." in (ast.get_docstring(tree) or "").partition("\n\n")[0]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _of_function(module, "", node, aliases, hands=hands)
        elif isinstance(node, ast.ClassDef) and not _is_protocol(node):
            for member in node.body:
                if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield from _of_function(module, node.name, member, aliases, hands=hands)
                elif (
                    isinstance(member, ast.AnnAssign)
                    and isinstance(member.target, ast.Name)
                    and _takes_callable(member.annotation, aliases)
                ):
                    yield Throwable(module, node.name, "__init__", member.target.id)


def _of_function(
    module: str,
    owner: str,
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    aliases: set[str],
    *,
    hands: bool,
) -> Iterator[Throwable]:
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    is_property = any("property" in each or ".setter" in each for each in decorators)
    if hands and not node.name.startswith("_") and not is_property:
        yield Throwable(module, owner, node.name)
    # What stays within a module is its own; a class's private parts are no seam either.
    if node.name.startswith("_") and node.name != "__init__":
        return
    arguments = node.args
    for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if each.annotation is not None and _takes_callable(each.annotation, aliases):
            yield Throwable(module, owner, node.name, each.arg)


def _takes_callable(annotation: ast.expr, aliases: set[str]) -> bool:
    names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    return bool(names & aliases) or any(word in ast.unparse(annotation) for word in _CALLABLE)


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base) in ("Protocol", "TypedDict") for base in node.bases)


#: Set while a test itself uses what the daemon uses: that does not throw.
_by_test: ContextVar[bool] = ContextVar("by_test", default=False)


@contextlib.contextmanager
def by_test() -> Iterator[None]:
    """In this block nothing throws that is called by it, and threads it begins."""
    token = _by_test.set(True)
    try:
        yield
    finally:
        _by_test.reset(token)


class Unforeseen(Exception):
    """What is thrown; each throwable has a kind of its own."""


@dataclass
class Thrower:
    """What throws, and how often.

    Attributes:
        calls: How often each was called.
        thrown: How often each of those that are armed has thrown.
    """

    calls: Counter[str] = field(default_factory=Counter)
    thrown: Counter[str] = field(default_factory=Counter)
    _armed: tuple[str, ...] = ()
    _times: int = 0
    _kinds: dict[str, type[Unforeseen]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, *names: str, times: int = 1) -> None:
        """Have each of these throw when it is next called, so many times."""
        with self._lock:
            self.thrown.clear()
            self._times, self._armed = times, names
            self._kinds = {name: type(f"Unforeseen of {name}", (Unforeseen,), {}) for name in names}

    def disarm(self) -> None:
        """Have nothing throw."""
        with self._lock:
            self._armed = ()

    def is_thrown(self, exc: BaseException | None, name: str) -> bool:
        """Whether an exception is what that threw, came of it, or holds it."""
        if exc is None:
            return False
        if isinstance(exc, BaseExceptionGroup):
            return any(self.is_thrown(each, name) for each in exc.exceptions)
        before = exc.__cause__ or exc.__context__
        return isinstance(exc, self._kinds[name]) or self.is_thrown(before, name)

    def trip(self, name: str) -> None:
        """It is called now."""
        if _by_test.get():
            return
        with self._lock:
            self.calls[name] += 1
            if name not in self._armed or self.thrown[name] >= self._times:
                return
            self.thrown[name] += 1
        raise self._kinds[name](f"nobody foresaw this of {name}")


class _Tripping:
    """A callable handed in; equal to what it stands for, as subscribers are compared."""

    def __init__(self, thrower: Thrower, name: str, call: Callable[..., Any]) -> None:
        self._thrower, self._name, self._call = thrower, name, call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._thrower.trip(self._name)
        return self._call(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return self._call == (other._call if isinstance(other, _Tripping) else other)

    def __hash__(self) -> int:
        return hash(self._call)


def instrument(
    thrower: Thrower, patch: pytest.MonkeyPatch, instead: Mapping[str, Callable[..., Any]]
) -> None:
    """Have everything in `throwables` ask ``thrower`` first, until ``patch`` is undone.

    Args:
        thrower: Says what throws.
        patch: Undoes it.
        instead: Fakes to be called instead of functions, by their names as throwables.
    """
    found = throwables()
    loaded = {name: importlib.import_module(f"inglenook.{name}") for name, _tree in modules()}
    places: dict[tuple[str, str, str], list[Throwable]] = {}
    for each in found:
        places.setdefault((each.module, each.owner, each.function), []).append(each)
    replaced: dict[FunctionType, Callable[..., Any]] = {}
    for (module, owner, function), here in places.items():
        if owner:
            _instrument_method(thrower, patch, getattr(loaded[module], owner), function, here)
        else:
            original = getattr(loaded[module], function)
            real = instead.get(f"{module}:{function}", original)
            replaced[original] = _wrapped(thrower, real, here)
    for each_module in [m for n, m in list(sys.modules.items()) if n.startswith("inglenook")]:
        _replace(patch, each_module, replaced)


def instrument_fake(
    thrower: Thrower, patch: pytest.MonkeyPatch, fake: type, stands_for: str
) -> None:
    """Have the methods of a fake ask first, under the names of what it stands for."""
    module, owner = stands_for.split(":")
    for each in throwables():
        if (each.module, each.owner) == (module, owner) and each.function in vars(fake):
            _instrument_method(thrower, patch, fake, each.function, [each])


def _instrument_method(
    thrower: Thrower, patch: pytest.MonkeyPatch, owner: type, name: str, here: list[Throwable]
) -> None:
    original = owner.__dict__[name]
    if isinstance(original, staticmethod | classmethod):
        kind = type(original)
        patch.setattr(owner, name, kind(_wrapped(thrower, original.__func__, here)))
    else:
        patch.setattr(owner, name, _wrapped(thrower, original, here))


def _wrapped(
    thrower: Thrower, original: Callable[..., Any], here: list[Throwable]
) -> Callable[..., Any]:
    itself = [str(each) for each in here if not each.parameter]
    handed_in = {each.parameter: str(each) for each in here if each.parameter}
    # Not now: a default may still be replaced.
    signature = functools.cache(lambda: inspect.signature(original))

    def prepare(args: Any, kwargs: Any) -> tuple[Any, Any]:
        for name in itself:
            thrower.trip(name)
        if not handed_in:
            return args, kwargs
        bound = signature().bind(*args, **kwargs)
        bound.apply_defaults()
        for parameter, name in handed_in.items():
            if callable(bound.arguments[parameter]):
                call = bound.arguments[parameter]
                bound.arguments[parameter] = _Tripping(thrower, name, call)
        return bound.args, bound.kwargs

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            try:
                args, kwargs = prepare(args, kwargs)
            except Unforeseen:
                for work in filter(inspect.iscoroutine, args):
                    work.close()  # or Python would warn that it was never awaited
                raise
            return await original(*args, **kwargs)

        return asynchronous

    @functools.wraps(original)
    def synchronous(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = prepare(args, kwargs)
        return original(*args, **kwargs)

    return synchronous


def _replace(
    patch: pytest.MonkeyPatch,
    module: ModuleType,
    replaced: Mapping[FunctionType, Callable[..., Any]],
) -> None:
    """Put the new functions where the old ones are known, be it as a default of a parameter."""
    for name, value in list(vars(module).items()):
        if isinstance(value, FunctionType):
            if value in replaced:
                patch.setattr(module, name, replaced[value])
            _replace_defaults(patch, value, replaced)
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for member in vars(value).values():
                function = inspect.unwrap(getattr(member, "__func__", member))
                if isinstance(function, FunctionType):
                    _replace_defaults(patch, function, replaced)


def _replace_defaults(
    patch: pytest.MonkeyPatch,
    function: FunctionType,
    replaced: Mapping[FunctionType, Callable[..., Any]],
) -> None:
    named = function.__kwdefaults__ or {}
    for name, value in list(named.items()):
        if isinstance(value, FunctionType) and value in replaced:
            patch.setitem(named, name, replaced[value])
    defaults = function.__defaults__ or ()
    known = [isinstance(value, FunctionType) and value in replaced for value in defaults]
    if any(known):
        new = tuple(
            replaced[value] if isinstance(value, FunctionType) and value in replaced else value
            for value in defaults
        )
        patch.setattr(function, "__defaults__", new)
