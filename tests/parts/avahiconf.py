"""Settings of Avahi, and whether they let it run beside another mDNS program.

Measured with Avahi 0.8-10+deb12u1; `tests/system/test_sharing.py` holds it to that.
"""

from __future__ import annotations

_SERVER = "[server]\nallow-interfaces=lan0\nuse-ipv6=no\n"

#: By the settings, whether Avahi insists on being alone.
SETTINGS: dict[str, bool] = {
    _SERVER: False,
    f"{_SERVER}disallow-other-stacks=yes\n": True,
    f"{_SERVER}disallow-other-stacks=no\n": False,
    f"{_SERVER}#disallow-other-stacks=yes\n": False,
    f"{_SERVER} # disallow-other-stacks=yes\n": False,
    f"{_SERVER}\tDisallow-Other-Stacks=Yes\n": True,
    f"{_SERVER}disallow-other-stacks=1\n": True,
    f"{_SERVER}disallow-other-stacks=true\n": True,
    f"{_SERVER}disallow-other-stacks=yes # alone\n": True,
    # True by its first character, of few.
    f"{_SERVER}disallow-other-stacks=tomorrow\n": True,
    f"{_SERVER}disallow-other-stacks=on\n": False,
    f"{_SERVER}disallow-other-stacks= yes\n": False,
    f"{_SERVER}disallow-other-stacks=\n": False,
    # The first of two counts, also across groups.
    f"{_SERVER}disallow-other-stacks=yes\ndisallow-other-stacks=no\n": True,
    f"{_SERVER}disallow-other-stacks=no\ndisallow-other-stacks=yes\n": False,
    f"{_SERVER}[wide-area]\nenable-wide-area=yes\n[Server]\ndisallow-other-stacks=yes\n": True,
    f"{_SERVER.replace('server]', 'server] ')}disallow-other-stacks=yes\n": True,
    f"{_SERVER}disallow-other-stacks=yes\n".replace("\n", "\r\n"): True,
}
