"""Decisions of the governor that tests change a part of."""

from __future__ import annotations

from inglenook.governor.limits import Decision, Level, LimitReason

#: Nothing is limited.
FREE = Decision(
    level=Level.COOL,
    reason=LimitReason.NONE,
    max_active=8,
    threads=4,
    clock=1.0,
    duty=1.0,
    step_budget_s=0.2,
    ram_cache_bytes=1000,
    admit=True,
    unload=False,
    eta_s=None,
    sentence="45 °C",
)
