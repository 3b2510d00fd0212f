"""Tries to make a grammar of a schema, in a process that may be killed for it. Kind: hands.

Most schemas take a millisecond. But a line of text can ask for what takes minutes or all memory,
and nothing short of trying tells which does. Run as a module
it is the process that tries what stands on its standard input.
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

#: What a schema may take of a core; the engine then takes as long, in the middle of a step.
COMPILE_S: Final = 0.2

#: What may be spent on finding where in the schema the fault is.
_PLACE_S: Final = 1.0

#: Address space of the trying process: ten times what it has without a schema.
_MEMORY_BYTES: Final = 2**30

#: After this the kernel ends it, whatever it does, seconds: a board that swaps needs some to begin.
_DEADLINE_S: Final = 30

_READ_BYTES: Final = 4096

#: Of a place, so much is said: it has names that somebody else chose.
_PLACE_CHARACTERS_MAX: Final = 200

#: What the process dies of at its bounds: of time by the kernel, of memory by llguidance itself,
#: which aborts where it gets none.
_TOO_MUCH_SIGNALS: Final = (-signal.SIGPROF, -signal.SIGABRT)

TOO_MUCH: Final = "the schema takes too much time or memory to prepare; make it simpler"


class SchemaTrial:
    """A schema that is being tried."""

    def __init__(self, schema: str) -> None:
        """Start trying.

        Raises:
            OSError: If no process can be started.
        """
        # A pipe would have to be written to while the process begins to read.
        with os.fdopen(os.memfd_create("schema"), "w+b") as file:
            file.write(schema.encode())
            file.seek(0)
            self._process = subprocess.Popen(
                (sys.executable, "-m", __name__),
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        # From here it has one core, on which a thread computes. If it is over already, well.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(self._process.pid, allowed_cores())
        self._output = b""

    def fileno(self) -> int:
        """The file number that is readable when there is something to `read`."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def read(self) -> str | None:
        """Take in what was found.

        Returns:
            None before the end; nothing if the schema is good; else where and why it is not.

        Raises:
            SchemaUntried: If the process ended before it could say, and not at its bounds.
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
        """End it, if it has not ended."""
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def main() -> int:
    """Try the schema on standard input; each line says better than the one before what is wrong."""
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
    # In JSON for what names may have in them: line breaks, and letters a locale does not know.
    shown = json.dumps(place, ensure_ascii=False)[1:-1]
    if len(shown) > _PLACE_CHARACTERS_MAX:
        shown = shown[:_PLACE_CHARACTERS_MAX] + "…"
    return json.dumps(f"the schema at '#{shown}' cannot be kept to: {why}")


def _innermost(tokenizer: LLTokenizer, schema: str, why: str) -> tuple[str, str]:
    """Find the innermost schema that the whole is refused for, and why it is itself."""
    schema_within: Any = json.loads(schema)
    # Put under a name, so that any place in it can be referred to as if it were all there is.
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
    """Whether a schema is refused for one right in it: in the same words, or as it requires it.

    Others may be refused by themselves, and have their good reasons where they stand.
    """
    if why.startswith("required property"):
        names = schema.get("required")
        required = {f"/properties/{escaped(name)}" for name in names} if names else ()
        return why_inner == why or step in required
    if why.startswith("required item"):
        return why_inner == why or step.startswith(("/items", "/prefixItems/"))
    return why_inner == why


def _schemas_in(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The schemas right in another, with the way to each as a JSON pointer."""
    for keyword, value in schema.items():
        if keyword in ONE_SCHEMA:
            found = [(f"/{keyword}", value)]
        elif keyword in LISTS_OF_SCHEMAS:
            found = [(f"/{keyword}/{index}", item) for index, item in enumerate(value)]
        elif keyword in SCHEMAS_BY_NAME:
            found = [(f"/{keyword}/{escaped(name)}", item) for name, item in value.items()]
        else:
            continue
        # `false` is refused by itself, and has its good reasons where it stands.
        yield from ((step, inner) for step, inner in found if isinstance(inner, dict))


if __name__ == "__main__":
    sys.exit(main())
