"""Errors carry data, and say it in a sentence."""

from __future__ import annotations

import pytest

from inglenook.common.errors import (
    Code,
    ConfigError,
    EngineError,
    Fault,
    InglenookError,
    Problem,
    StartupError,
)


@pytest.mark.parametrize("family", [ConfigError, StartupError, Problem, EngineError])
def test_every_family_has_one_root(family: type[Exception]) -> None:
    """The command line catches one class and shows no traceback."""
    assert issubclass(family, InglenookError)


def test_a_fault_reads_where_and_what() -> None:
    """The form of every settings report."""
    assert str(Fault("listen.port", "no value")) == "listen.port: no value"


def test_a_config_error_shows_every_fault_on_a_line_of_its_own() -> None:
    """With the file in front, as compilers do."""
    faults = [Fault("a", "one"), Fault("b", "two")]

    error = ConfigError(faults, "/etc/inglenook/config.yaml")

    assert error.faults == faults
    assert str(error) == ("/etc/inglenook/config.yaml: a: one\n/etc/inglenook/config.yaml: b: two")


def test_a_config_error_without_a_file_says_config() -> None:
    """Some settings come from nowhere in particular."""
    assert str(ConfigError([Fault("a", "one")])) == "config: a: one"


def test_a_problem_carries_what_a_client_is_told() -> None:
    """Code, sentence, and when to try again."""
    problem = Problem(Code.BUSY, "Too many questions are waiting.", retry_after_s=2.5)

    assert (problem.code, problem.text, problem.retry_after_s) == (
        Code.BUSY,
        "Too many questions are waiting.",
        2.5,
    )
    assert str(problem) == "busy: Too many questions are waiting."
    assert Problem(Code.BUSY, "").retry_after_s is None


def test_codes_are_written_as_on_the_wire() -> None:
    """Clients compare the strings; renaming one breaks them."""
    assert {str(code) for code in Code} == {
        "bad_request",
        "not_paired",
        "forbidden",
        "revoked",
        "busy",
        "too_hot",
        "low_memory",
        "model_loading",
        "model_missing",
        "context_too_long",
        "engine_failed",
        "unknown_response",
        "rate_limited",
        "shutting_down",
        "internal",
    }
