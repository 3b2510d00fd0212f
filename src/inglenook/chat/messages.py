"""Messages of a conversation, checked: text in parts, tool calls, tool results. Kind: rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from inglenook.common.errors import Code, Problem

#: Messages in one request; a phone's frame of 256 KiB holds fewer in practice.
MESSAGES_MAX: Final = 1000

#: Calls in one message, and characters of the id that a client gives one.
TOOL_CALLS_MAX: Final = 128
CALL_ID_CHARACTERS_MAX: Final = 128

_ROLES: Final = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_TOOL: Final = "tool"

_CallId = Annotated[str, msgspec.Meta(min_length=1, max_length=CALL_ID_CHARACTERS_MAX)]


class _Function(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]
    arguments: str


class _Call(msgspec.Struct):
    id: _CallId
    function: _Function
    type: Literal["function"] = "function"


_Calls = Annotated[list[_Call], msgspec.Meta(max_length=TOOL_CALLS_MAX)]

_decode_arguments = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class TextPart:
    """A part of a message that is text; this box reads no others."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool, as an earlier answer has it.

    Attributes:
        call_id: Its result names it.
        name: Of the tool.
        arguments: A JSON object as text.
    """

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``.
        content: Its text, or the parts it came in.
        tool_calls: Of an assistant's message.
        tool_call_id: The call whose result a tool's message is; empty for other roles.
    """

    role: str
    content: str | tuple[TextPart, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""

    @property
    def text(self) -> str:
        """The text of all parts."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


def parse_messages(value: Any, *, asked: bool, tools: bool = False) -> tuple[Message, ...]:
    """Check the ``messages`` of an OpenAI chat body.

    Args:
        value: As it came.
        asked: The last message has to be one that can be answered.
        tools: Calls of tools and their results may be among them.

    Raises:
        Problem: `Code.BAD_REQUEST` with a sentence naming the field and what it may be.
    """
    if not isinstance(value, list) or not value:
        raise _bad("'messages' must be a list with at least one message")
    if len(value) > MESSAGES_MAX:
        raise _bad(f"'messages' has {len(value)} messages; at most {MESSAGES_MAX} are allowed")
    messages = tuple(_message(item, index, tools=tools) for index, item in enumerate(value))
    unanswered = _check_results(messages)
    last = messages[-1]
    if asked and unanswered:
        raise _bad(f"the call '{unanswered[0]}' of a tool has no result among 'messages'")
    if asked and last.role not in ("user", _TOOL):
        raise _bad("the last of 'messages' must have the role 'user'")
    if last.role == "user" and asked and not last.text.strip():
        raise _bad("the last message is empty")
    return messages


def _bad(text: str) -> Problem:
    return Problem(Code.BAD_REQUEST, text[0].upper() + text[1:] + ".")


def _message(item: Any, index: int, *, tools: bool) -> Message:
    where = f"messages[{index}]"
    if not isinstance(item, Mapping):
        raise _bad(f"'{where}' must be an object with 'role' and 'content'")
    role, content = item.get("role"), item.get("content")
    roles = (*_ROLES, _TOOL) if tools else tuple(_ROLES)
    if not isinstance(role, str) or role not in roles:
        raise _bad(f"'{where}.role' must be one of {', '.join(roles)}")
    if role == _TOOL:
        call_id = item.get("tool_call_id")
        # `_check_results` refuses what is no call's id.
        call_id = call_id if isinstance(call_id, str) else ""
        return Message(role, _content(content, where), tool_call_id=call_id)
    calls = item.get("tool_calls") if tools and role == "assistant" else None
    if calls:
        text = "" if content is None else _content(content, where)
        return Message(role, text, _tool_calls(calls, f"{where}.tool_calls"))
    return Message(_ROLES[role], _content(content, where))


def _content(value: Any, where: str) -> str | tuple[TextPart, ...]:
    """A string, or OpenAI's list of parts when every part is text."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise _bad(f"'{where}.content' must be a string")
    parts = []
    for part in value:
        if not isinstance(part, Mapping) or part.get("type") != "text":
            raise _bad(f"'{where}.content' may hold text parts only; this box reads no images")
        text = part.get("text")
        if not isinstance(text, str):
            raise _bad(f"'{where}.content' has a text part without text")
        parts.append(TextPart(text))
    return tuple(parts)


def _tool_calls(value: Any, where: str) -> tuple[ToolCall, ...]:
    try:
        given = msgspec.convert(value, _Calls)
        for call in given:
            _decode_arguments(call.function.arguments)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as exc:
        raise _bad(
            f"'{where}' must be calls of functions with JSON objects for arguments: {exc}"
        ) from exc
    if len({call.id for call in given}) < len(given):
        raise _bad(f"'{where}' has two calls with one 'id'")
    return tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in given)


def _check_results(messages: tuple[Message, ...]) -> list[str]:
    """Check that results follow their calls at once; returns calls that have none so far."""
    waiting: list[str] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if message.role == _TOOL:
            if message.tool_call_id not in waiting:
                raise _bad(f"'{where}.tool_call_id' is no call of the message before the results")
            waiting.remove(message.tool_call_id)
        elif waiting:
            raise _bad(f"'{where}' comes before the result of the call '{waiting[0]}'")
        else:
            waiting = [call.call_id for call in message.tool_calls]
    return waiting
