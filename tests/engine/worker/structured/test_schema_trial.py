"""The trial of a schema is harmless, and finds the schema's fault."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any

import psutil
import pytest

from inglenook.engine.cores import allowed_cores
from inglenook.engine.worker.structured.refusal import SchemaUntried
from inglenook.engine.worker.structured.schema_trial import TOO_MUCH, SchemaTrial

_DEADLINE_S = 30.0

#: Takes 7 s and 150 MB, were it let.
SLOW = {"type": "integer", "multipleOf": 1_000_003}


def object_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def tried(schema: Any) -> str:
    """The result of its trial."""
    proof = SchemaTrial(schema if isinstance(schema, str) else json.dumps(schema))
    try:
        return outcome(proof)
    finally:
        proof.close()


def outcome(proof: SchemaTrial) -> str:
    """Wait for the result."""
    while (fault := proof.read() if readable(proof) else None) is None:
        pass
    return fault


def readable(proof: SchemaTrial) -> bool:
    """Wait until its file is readable, within the deadline."""
    assert select.select([proof], [], [], _DEADLINE_S)[0]
    return True


def test_it_is_not_tied_to_the_core_of_the_thread_that_computes() -> None:
    """That thread would wait for it, and all other threads for that one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    proof = SchemaTrial("{}")
    try:
        (child,) = (
            child
            for child in psutil.Process().children()
            if SchemaTrial.__module__ in child.cmdline()
        )
        assert set(child.cpu_affinity()) == allowed_cores()
    finally:
        proof.close()
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        object_of(name={"type": "string"}, tags={"type": "array", "items": {"enum": ["a", "b"]}}),
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}},
    ],
)
def test_a_good_schema_has_no_fault(schema: Any) -> None:
    """Nor has a recursive one."""
    assert tried(schema) == ""


NO_SUCH_NUMBER = {"type": "integer", "minimum": 5, "maximum": 3}
REFERRED = {"$ref": "#/$defs/x~1y%20z"}


@pytest.mark.parametrize(
    ("schema", "place", "why"),
    [
        (NO_SUCH_NUMBER, "#", "minimum (5) is greater than maximum (3)"),
        (object_of(a=NO_SUCH_NUMBER), "#/properties/a", "minimum (5)"),
        (object_of(**{"a/b~": NO_SUCH_NUMBER}), "#/properties/a~1b~0", "minimum (5)"),
        (
            object_of(a=object_of(b={"anyOf": [{"enum": []}]})),
            "#/properties/a/properties/b/anyOf/0",
            "anyOf is empty",
        ),
        ({"items": {"pattern": "(?=x)y"}}, "#/items", "look-around"),
        ({"additionalProperties": {"format": "nonsense"}}, "#/additionalProperties", "nonsense"),
        (
            object_of(a=REFERRED) | {"$defs": {"x/y z": {"pattern": "["}}},
            "#/properties/a",
            "unclosed",
        ),
        (
            {"allOf": [{"$ref": "#/$defs/a"}, {"type": "null"}], "$defs": {"a": {"type": "array"}}},
            "#",
            "incompatible types",
        ),
        (
            {"properties": {"a": NO_SUCH_NUMBER, "b": {"pattern": "(?=x)"}}},
            "#/properties/b",
            "look-around",
        ),
        (
            {"properties": {"a": {"pattern": "["}, "b": NO_SUCH_NUMBER}, "required": ["b"]},
            "#/properties/a",
            "unclosed",
        ),
        ({"type": "array", "items": NO_SUCH_NUMBER, "minItems": 1}, "#/items", "minimum (5)"),
        (object_of(**{"a\nb é": NO_SUCH_NUMBER}), "#/properties/a\\nb é", "minimum (5)"),
        (object_of(a=False), "#", "required property 'a'"),
        ("{", "#", "EOF"),
    ],
)
def test_a_fault_is_found_where_it_is(schema: Any, place: str, why: str) -> None:
    """The innermost schema that is unsatisfiable, or has an unknown keyword."""
    fault = tried(schema)

    assert fault.startswith(f"the schema at '{place}' cannot be kept to: ")
    assert why in fault


def alternatives(number: int) -> dict[str, Any]:
    """An object of that many pairs, one of each."""
    return {
        "allOf": [{"anyOf": [object_of(**{f"a{i}": {}}), object_of(**{f"b{i}": {}})]}
                  for i in range(number)]
    }  # fmt: skip


HOSTILE: dict[str, Any] = {
    "divisor": SLOW,
    "divisors": {"allOf": [{"type": "integer", "multipleOf": 10_007 + i} for i in range(50)]},
    "alternatives": alternatives(12),
    "names": {"patternProperties": {f"^p{i}_.*x$": {} for i in range(1000)}},
    "members": {"properties": {f"p{i}": {"pattern": f"a.{{{i}}}"} for i in range(1000)}},
    "patterns": {"allOf": [{"pattern": f"{chr(97 + i)}.{{30}}"} for i in range(26)]},
    "nested patterns": {"type": "string", "pattern": "(" * 200 + "a" + "{0,9})" * 200},
    "itself": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
    "each other": {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}, {}]},
                                                  "b": {"allOf": [{"$ref": "#/$defs/a"}, {}]}}},
    "doubling": {"$ref": "#/$defs/d0", "$defs": {
        **{f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}, {"anyOf": [{"minimum": i}, {}]}]}
           for i in range(40)}, "d40": {"type": "number"}}},
    "deep": '{"items":' * 60_000 + "{}" + "}" * 60_000,
    "no schema": "[" * 100_000,
    "a number": '{"minimum":' + "9" * 60_000 + "}",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE)
def test_whatever_a_schema_asks_for_there_is_an_end_to_it(schema: Any) -> None:
    """The result is one line, and no process is left."""
    fault = tried(schema)

    assert "\n" not in fault
    assert len(fault) < 500


def test_a_slow_schema_costs_no_more_of_a_core_than_it_may() -> None:
    """However long the process waits for the core."""
    before_s = children_s()
    assert "takes too much time" in tried(SLOW)
    # Python and its imports, which take longest here, count too.
    assert children_s() - before_s < 3.0


def children_s() -> float:
    """Processor time of all ended child processes."""
    times = psutil.Process().cpu_times()
    return times.children_user + times.children_system


def test_a_name_without_end_is_not_said_to_its_end() -> None:
    """It would be written to a journal and sent to a client."""
    assert len(tried(object_of(**{"n" * 60_000: NO_SUCH_NUMBER}))) < 500


def test_any_locale_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service may have none, or one that cannot encode such letters."""
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert "'#/properties/é'" in tried(object_of(é=NO_SUCH_NUMBER))
    assert tried('{"const": "é"}') == ""


def test_a_process_that_is_killed_has_said_nothing() -> None:
    """The cause may be the box: no schema is refused because of that."""
    proof = SchemaTrial(json.dumps(SLOW))
    os.kill(proof._process.pid, signal.SIGKILL)
    with pytest.raises(SchemaUntried, match="was ended"):
        outcome(proof)
    proof.close()


def test_a_process_that_gets_no_more_memory_has_said_enough() -> None:
    """The library aborts, and would do so again for the same schema."""
    proof = SchemaTrial(json.dumps(SLOW))
    os.kill(proof._process.pid, signal.SIGABRT)
    assert outcome(proof) == TOO_MUCH
    proof.close()


def test_it_can_be_called_off() -> None:
    """The process ends at once and is reaped."""
    proof = SchemaTrial(json.dumps(SLOW))
    pid = proof._process.pid
    started_s = time.monotonic()
    proof.close()
    assert time.monotonic() - started_s < _DEADLINE_S
    assert not psutil.pid_exists(pid)
