"""Trial compilation of a schema, in a process that may be killed. Kind: hands.

Most schemas take a millisecond. But one line of text can take minutes or all memory, and only a
trial shows which does. Run as a module it is the trial's process, and tries the schema on its
standard input.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from llguidance import LLTokenizer

from inglenook.common.schema_walk import LISTS_OF_SCHEMAS, ONE_SCHEMA, SCHEMAS_BY_NAME, escaped
from inglenook.engine.cores import allowed_cores
from inglenook.engine.worker.structured.grammar import compile_schema
from inglenook.engine.worker.structured.refusal import SchemaRefused, SchemaUntried

#: Processor time a schema may take; the engine then needs the same time between two steps.
COMPILE_S: Final = 0.2

#: Processor time for locating the fault within the schema.
_PLACE_S: Final = 1.0

#: Address space of the trial's process: ten times what it has without a schema.
_MEMORY_BYTES: Final = 2**30

#: The kernel ends the process after this time, seconds: a board that swaps needs some to start it.
_DEADLINE_S: Final = 30

_READ_BYTES: Final = 4096

#: Longest place in a message: its names are chosen by the client.
_PLACE_CHARACTERS_MAX: Final = 200

#: Signals that end the process at its bounds: of time by the kernel, of memory by llguidance
#: itself, which aborts if an allocation fails.
_TOO_MUCH_SIGNALS: Final = (-signal.SIGPROF, -signal.SIGABRT)

TOO_MUCH: Final = "the schema takes too much time or memory to prepare; make it simpler"


class SchemaTrial:
    """One trial in progress."""

    def __init__(self, schema: str) -> None:
        """Start the process.

        Raises:
            OSError: If no process can be started.
        """
        # Not a pipe, which would have to be written to while the process starts to read.
        with os.fdopen(os.memfd_create("schema"), "w+b") as file:
            file.write(schema.encode())
            file.seek(0)
            self._process = subprocess.Popen(
                (sys.executable, "-m", __name__),
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        # It has inherited one core, on which a thread computes; it may have exited already.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(self._process.pid, allowed_cores())
        self._output = b""

    def fileno(self) -> int:
        """File number that is readable when `read` has something to read."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def read(self) -> str | None:
        """Read the result.

        Returns:
            None before the end; an empty string if the schema compiled; else the fault and place.

        Raises:
            SchemaUntried: If the process ended without a result, and not at its bounds.
        """
        data = os.read(self.fileno(), _READ_BYTES)
        if data:
            self._output += data
            return None
        whole_lines = self._output.split(b"\n")[:-1]
        if whole_lines:
            return str(json.loads(whole_lines[-1]))
        if self._process.wait() in _TOO_MUCH_SIGNALS:
            return TOO_MUCH
        raise SchemaUntried("the process that tries it was ended")

    def close(self) -> None:
        """Kill the process, if it has not ended."""
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def main() -> int:
    """Try the schema on standard input; each printed line is more precise than the one before."""
    # The default action of both timers' signals is to end the process.
    signal.alarm(_DEADLINE_S)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    schema = sys.stdin.buffer.read().decode()
    tokenizer = LLTokenizer("byte")
    signal.setitimer(signal.ITIMER_PROF, COMPILE_S)
    try:
        compile_schema(tokenizer, schema)
    except SchemaRefused as exc:
        print(_message("", exc.why), flush=True)  # noqa: T201 the answer to the engine
        signal.setitimer(signal.ITIMER_PROF, _PLACE_S)
        place, why = _innermost(tokenizer, schema, exc.why)
        print(_message(place, why), flush=True)  # noqa: T201 the answer to the engine
    else:
        print(json.dumps(""), flush=True)  # noqa: T201 the answer to the engine
    return 0


def _message(place: str, why: str) -> str:
    # In JSON, as names may contain line breaks, and letters that the locale cannot encode.
    shown = json.dumps(place, ensure_ascii=False)[1:-1]
    if len(shown) > _PLACE_CHARACTERS_MAX:
        shown = shown[:_PLACE_CHARACTERS_MAX] + "…"
    return json.dumps(f"the schema at '#{shown}' cannot be kept to: {why}")


def _innermost(tokenizer: LLTokenizer, schema: str, why: str) -> tuple[str, str]:
    """Find the innermost schema that causes the refusal, and the reason for its own refusal."""
    schema_within: Any = json.loads(schema)
    # Under a name, so that a reference to any place in it can be compiled alone.
    whole = json.dumps(schema_within).replace('"$ref": "#', '"$ref": "#/$defs/whole')
    place = ""
    while True:
        for step, inner in _schemas_in(schema_within):
            pointer = json.dumps("#/$defs/whole" + quote(place + step))
            try:
                compile_schema(tokenizer, f'{{"$ref": {pointer}, "$defs": {{"whole": {whole}}}}}')
            except SchemaRefused as exc:
                if not _refused_for(schema_within, why, step, exc.why):
                    continue
                place, why, schema_within = place + step, exc.why, inner
                break
        else:
            return place, why


def _refused_for(schema: dict[str, Any], why: str, step: str, why_inner: str) -> bool:
    """Whether a direct subschema causes a refusal: by the same message, or as a required one.

    Others may be refused alone, and be valid where they stand.
    """
    if why.startswith("required property"):
        names = schema.get("required")
        required = {f"/properties/{escaped(name)}" for name in names} if names else ()
        return why_inner == why or step in required
    if why.startswith("required item"):
        return why_inner == why or step.startswith(("/items", "/prefixItems/"))
    return why_inner == why


def _schemas_in(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Direct subschemas, each with its JSON pointer."""
    for keyword, value in schema.items():
        if keyword in ONE_SCHEMA:
            found = [(f"/{keyword}", value)]
        elif keyword in LISTS_OF_SCHEMAS:
            found = [(f"/{keyword}/{index}", item) for index, item in enumerate(value)]
        elif keyword in SCHEMAS_BY_NAME:
            found = [(f"/{keyword}/{escaped(name)}", item) for name, item in value.items()]
        else:
            continue
        # `false` is refused alone, and is valid where it stands.
        yield from ((step, inner) for step, inner in found if isinstance(inner, dict))


if __name__ == "__main__":
    sys.exit(main())
