"""Sentences made from what pip really printed (23.2, Debian 12), shortened."""

from __future__ import annotations

import pytest

from inglenook.models.pip_output import explain


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("/opt/venv/bin/python3: No module named pip\n", "this Python has no pip"),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by"
            " 'NewConnectionError(': [Errno 111] Connection refused')': /simple/x/\n"
            "ERROR: Could not find a version that satisfies the requirement x==1\n"
            "ERROR: No matching distribution found for x==1\n",
            "the package index cannot be reached",
        ),
        (
            "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(host='a',"
            " port=443): Read timed out.\n",
            "the package index stopped answering",
        ),
        ("ERROR: No matching distribution found for x==1", "the package index does not have it"),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on"
            " device\n",
            "the disk is full",
        ),
        ("Looking in links: /x\nERROR: Wheel x is invalid.\n\n", "pip says: Wheel x is invalid."),
        (
            "ERROR: Exception:\nTraceback (most recent call last):\nValueError: bad luck\n",
            "pip says: ValueError: bad luck",
        ),
        ("ERROR: \x1b[31mred\n", "pip says:  [31mred"),
        ("ERROR: " + "x" * 400, "pip says: " + "x" * 299 + "…"),
        ("", "pip failed without a word"),
    ],
)
def test_the_reason_is_in_our_words_or_pips_last(output: str, reason: str) -> None:
    """Known troubles get our own words; of others the last error is quoted, made printable."""
    assert explain(output)[0] == reason


@pytest.mark.parametrize(
    "address",
    [
        "https://bob:s3cret@packages.local/simple",
        "https://bob:(s3cret,'s3cret]@packages.local/simple",
        "https://packages.local/s3cret/simple?key=s3cret#s3cret",
        "git+ssh://git:s3cret@code.local/x",
        "HTTP://s3cret",
    ],
)
def test_no_address_is_shown(address: str) -> None:
    """User names, passwords, paths and queries of private indexes can all be secrets."""
    assert explain(f"ERROR: 403 Client Error: Forbidden for url: {address} sorry")[0] == (
        "pip says: 403 Client Error: Forbidden for url: (address) sorry"
    )
