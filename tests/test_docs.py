"""The pages in docs/ say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from inglenook.chat.schema import SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX
from inglenook.common.errors import Code
from inglenook.engine.worker.decode.repetition import RULE
from inglenook.gateway.connection_table import (
    DEVICE_HTTP_MAX,
    DEVICE_HTTP_SHARE,
    UNAUTHENTICATED_MAX,
    UNAUTHENTICATED_SHARE,
)
from inglenook.gateway.http.errors import STATUS
from inglenook.gateway.http.inference import DEFAULT_MAX_TOKENS, DEFAULT_TIMEOUT_S, TIMEOUT_S_MAX
from inglenook.gateway.http.metrics import Metrics
from inglenook.gateway.transports import HEAD_BYTES_MAX
from inglenook.gateway.ws.connections import SOCKETS_MAX, SOCKETS_PER_DEVICE_MAX
from inglenook.gateway.ws.handshake import AUTH_CHARACTERS_MAX
from inglenook.protocol import messages
from inglenook.protocol.codec import FRAME_BYTES_MAX
from inglenook.protocol.session import ALLOWED, TRANSITIONS, CloseCode
from inglenook.protocol.values import NESTING_MAX
from inglenook.serving.admission import WAITING_PER_DEVICE_MAX
from inglenook.serving.job_outcome import FINISHES
from inglenook.serving.response_parts import TRANSITIONS as RESPONSE_TRANSITIONS
from inglenook.serving.response_store import KEPT_BYTES_MAX

DOCS = Path(__file__).parent.parent / "docs"
PROTOCOL = (DOCS / "protocol.md").read_text()
LIMITS = (DOCS / "limits.md").read_text()
OPERATIONS = (DOCS / "operations.md").read_text()


def arrows(heading: str) -> set[tuple[str, str, str]]:
    """The arrows of the state diagram under a heading: from, to, label."""
    diagram = PROTOCOL.split(f"### {heading}\n")[1].split("```")[1]
    found = re.findall(r"^ +(\w+) --> (\w+)(?:: (.+))?$", diagram, re.MULTILINE)
    return set(found)


def tag_of(kind: type) -> str | None:
    """The ``type`` a message has on the wire, if it is a message."""
    if not issubclass(kind, msgspec.Struct):
        return None
    tag = kind.__struct_config__.tag
    assert tag is None or isinstance(tag, str)
    return tag


def test_the_diagram_of_a_connection_is_the_codes_table() -> None:
    """Arrow by arrow, label by label."""
    assert arrows("A connection") == {
        (before, after, why) for (before, after), why in TRANSITIONS.items()
    }


def test_the_diagram_of_a_response_is_the_codes_table() -> None:
    """Arrow by arrow."""
    assert arrows("A response") == {
        (before, after, "") for before, afters in RESPONSE_TRANSITIONS.items() for after in afters
    }


def test_what_a_phone_may_say_in_each_phase_is_documented() -> None:
    """The table names the same messages as the code."""
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", PROTOCOL, re.MULTILINE)
    said = {phase: set(re.findall(r"`(\w+)`", may)) for phase, may in rows}
    for phase, types in ALLOWED.items():
        tags = {tag_of(kind) for kind in types}
        assert said.get(phase, set()) == tags, phase


def test_the_rule_of_repetition_is_the_codes() -> None:
    """Both conditions, on both pages that have them."""
    exact = f"{RULE.rounds} times and over at least {RULE.exact_tokens} tokens"
    near = f"last {RULE.near_tokens:,} tokens at most {RULE.novel} are not a copy"
    row = next(line for line in LIMITS.splitlines() if "repeats itself" in line)

    assert exact in PROTOCOL
    assert near in PROTOCOL
    assert f"at most {RULE.near_distance} tokens before them" in PROTOCOL
    assert f"{RULE.rounds} rounds and {RULE.exact_tokens} tokens of one run" in row
    assert f"{RULE.near_tokens:,} tokens with at most {RULE.novel}" in row


def test_every_reason_for_an_end_is_documented() -> None:
    """Those of responses, and the one that only a door has."""
    reasons = {reason for _status, reason in FINISHES.values() if reason is not None}
    statuses = PROTOCOL.split("`status` is `completed`")[1].split("\n")[0]
    door = PROTOCOL.split("### `POST /v1/inference`")[1].split("\n`finish_reason` is")[1]

    assert reasons == {"stop", "length", "repetition"}
    assert all(f"`{reason}`" in statuses for reason in reasons)
    assert set(re.findall(r"`(\w+)`", door.split(", and then")[0])) == {*reasons, "timeout"}


def test_the_bounds_of_the_smallest_door_are_the_codes() -> None:
    """Without which a script may wait for ever."""
    row = next(line for line in LIMITS.splitlines() if "an answer of `/v1/inference`" in line)
    door = PROTOCOL.split("### `POST /v1/inference`")[1].split("### ")[0]

    assert f"`max_tokens`, {DEFAULT_MAX_TOKENS:,}; `timeout_s`, {DEFAULT_TIMEOUT_S:.0f} s" in row
    assert f"{DEFAULT_MAX_TOKENS} without it" in door
    assert f"up to {TIMEOUT_S_MAX:.0f}, {DEFAULT_TIMEOUT_S:.0f} without it" in door


def test_every_close_code_is_documented() -> None:
    """And no other; 1007 is the library's own, and 1011 what a fault of ours looks like."""
    table = PROTOCOL.split("### Close codes")[1].split("## Error codes")[0]
    listed = {int(code) for code in re.findall(r"^\| (\d{4}) \|", table, re.MULTILINE)}

    assert listed == {int(code) for code in CloseCode} | {1007, 1011}


def test_every_error_code_is_documented_with_its_http_status() -> None:
    """And no other."""
    table = PROTOCOL.split("## Error codes")[1].split("## HTTP")[0]
    listed = {
        Code(name): int(status)
        for names, status in re.findall(r"^\| (`[^|]+) \| (\d{3}) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }

    assert listed == STATUS


def test_every_metric_is_documented() -> None:
    """And no other."""
    state = dict.fromkeys(("engine", "active", "queued", "max_active", "level", "reason"), 0)
    text = (
        Metrics(lambda: {**state, "cpu_c": 0, "mem_available_bytes": 0, "journal_error": None})
        .text()
        .decode()
    )
    table = OPERATIONS.split("## Metrics")[1].split("\n## ")[0]
    rows = "".join(row.split("|")[1] for row in table.splitlines() if row.startswith("| `"))

    told = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    assert set(re.findall(r"`(\w+)", rows)) == told


def test_every_message_is_documented() -> None:
    """By its type, in the code's quotes."""
    tags = [tag_of(value) for value in vars(messages).values() if isinstance(value, type)]
    for tag in filter(None, tags):
        assert f'"{tag}"' in PROTOCOL or f"`{tag}`" in PROTOCOL, tag


@pytest.mark.parametrize(
    "words",
    [
        f"| WebSocket frame | {FRAME_BYTES_MAX // 1024} KiB |",
        f"| connections | {SOCKETS_MAX}; {SOCKETS_PER_DEVICE_MAX} a device;",
        f"| `serving.queue`, 64; {WAITING_PER_DEVICE_MAX} a device |",
        f"| JSON schema | {SCHEMA_BYTES_MAX // 1024} KiB, {SCHEMA_DEPTH_MAX} levels |",
        f"| {UNAUTHENTICATED_MAX} | the new connection is accepted; the oldest of an address with"
        f" more than {UNAUTHENTICATED_SHARE} ",
        f"| {DEVICE_HTTP_MAX} | the oldest of a device with more than {DEVICE_HTTP_SHARE} ",
        f"| HTTP request head | {HEAD_BYTES_MAX // 1024} KiB",
        f"in a message or body | {NESTING_MAX} |",
        f"`auth` | {AUTH_CHARACTERS_MAX:,} characters |",
        f"10 min, and {KEPT_BYTES_MAX // 2**20} MiB in all",
    ],
)
def test_bounds_are_documented_as_they_are(words: str) -> None:
    """Those that are most likely to be changed in one place only."""
    assert words in LIMITS
