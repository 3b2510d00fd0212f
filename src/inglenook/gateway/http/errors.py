"""Errors over HTTP, all in one form. Kind: hands."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import ClientError, web
from aiohttp.typedefs import Handler

from inglenook.common.errors import Code, Problem
from inglenook.common.restarting import TaskGuard
from inglenook.gateway.transports import ClientTransport, connection_of

#: The HTTP status of each code.
STATUS: Final = {
    Code.BAD_REQUEST: 400,
    Code.NOT_PAIRED: 401,
    Code.REVOKED: 401,
    Code.FORBIDDEN: 403,
    Code.UNKNOWN_RESPONSE: 404,
    Code.CONTEXT_TOO_LONG: 400,
    Code.RATE_LIMITED: 429,
    Code.BUSY: 503,
    Code.TOO_HOT: 503,
    Code.LOW_MEMORY: 503,
    Code.MODEL_LOADING: 503,
    Code.MODEL_MISSING: 503,
    Code.ENGINE_FAILED: 503,
    Code.SHUTTING_DOWN: 503,
    Code.INTERNAL: 500,
}

#: The page belongs to one origin; it has no inline code and fetches from no other.
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_handling = TaskGuard("a request")


@web.middleware
async def speak_plainly(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error, the client's or our own, in the one form."""
    connection: ClientTransport | None = None
    response: web.StreamResponse | None = None
    moved: web.HTTPException | None = None
    # A bug here costs one request only.
    with _handling:
        connection = connection_of(request)
        if connection is not None:
            connection.request_began()
        try:
            response = await handler(request)
        except Problem as problem:
            response = problem_response(problem)
        except web.HTTPException as exc:
            code = Code.INTERNAL if exc.status >= 500 else Code.BAD_REQUEST
            response = problem_response(Problem(code, f"{exc.reason}."), exc.status)
            moved = exc if exc.status < 400 else None
        except (ConnectionError, ClientError):
            # The client went away, or sent a body that is not what its headers say.
            response = problem_response(Problem(Code.BAD_REQUEST, "The request is not whole."))
    if moved is not None:
        raise moved
    if response is None:
        text = "Something went wrong on the box; its log says more."
        response = problem_response(Problem(Code.INTERNAL, text))
    if not response.prepared:
        response.headers.update(HEADERS)
    # The rest of a body that no handler has read is not the next head.
    if connection is not None:
        with _handling:
            request.content.on_eof(connection.request_ended)
    return response


def problem_response(problem: Problem, status: int | None = None) -> web.Response:
    """A problem as JSON, ``{"error": {"code", "message", "retry_after_s"}}``."""
    error: dict[str, Any] = {"code": problem.code, "message": problem.text}
    headers = retry_after(problem)
    if problem.retry_after_s is not None:
        error["retry_after_s"] = problem.retry_after_s
    if problem.code in (Code.NOT_PAIRED, Code.REVOKED):
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response(
        {"error": error}, status=status or STATUS[problem.code], headers=headers
    )


def retry_after(problem: Problem) -> dict[str, str]:
    """The header that says when to try again; none if that is not known."""
    if problem.retry_after_s is None:
        return {}
    return {"Retry-After": str(max(1, round(problem.retry_after_s)))}
