"""What an unknown setting may have meant."""

from __future__ import annotations

import pytest

from inglenook.config.nearest import did_you_mean


@pytest.mark.parametrize(
    ("section", "name", "clause"),
    [
        ("listen", "prot", ", did you mean 'port'?"),
        ("listen", "tls-port", ", did you mean 'tls_port'?"),
        ("listen", "Port", ", did you mean 'port'?"),
        ("", "listn", ", did you mean 'listen'?"),
        ("", "Name", ", did you mean 'name'?"),
        ("model", "ctx", ", did you mean 'context'?"),
        # Elsewhere.
        ("", "port", ", did you mean 'listen.port'?"),
        ("", "prot", ", did you mean 'listen.port'?"),
        ("engine", "port", ", did you mean 'listen.port'?"),
        ("engine", "kv_typ", ", did you mean 'model.kv_type'?"),
        ("listen", "name", ", did you mean 'names' or 'name'?"),
        ("", "enabled", ", did you mean 'governor.enabled' or 'discovery.enabled'?"),
        # As our messages write it.
        ("", "listen.port", "; write 'port:' indented below 'listen:'"),
        # Nothing near.
        ("", "zzz", ""),
        ("listen", "", ""),
        ("listen", "x" * 10_000, ""),
    ],
)
def test_the_nearest_setting_is_named(section: str, name: str, clause: str) -> None:
    """With its section where that is another."""
    assert did_you_mean(section, name) == clause
