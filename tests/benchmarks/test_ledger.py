"""Claims are made of what was measured in the same round."""

from __future__ import annotations

from pathlib import Path

from benchmarks.speed.question import reading, story, words
from benchmarks.speed.result import Ledger
from benchmarks.speed.servers import Setting


def test_a_ratio_is_taken_within_each_round() -> None:
    """A slow minute slows both sides, and the ratio stays."""
    ledger = Ledger()
    for speed in (100.0, 50.0, 10.0):
        ledger.note("1 stream", "raw limit", "tok/s", speed)
        ledger.note("1 stream", "Inglenook", "tok/s", speed * 0.98)
    ledger.claim("of it", ("1 stream", "Inglenook"), ("1 stream", "raw limit"), at_least=0.97)
    result = ledger.result("throughput", Setting(Path("a/model.gguf"), 2, None))

    assert (result.scenario, result.model) == ("throughput", "model")
    assert [round(value, 6) for value in result.claims[0].rounds] == [0.98] * 3
    assert result.figures[0].rounds == (100.0, 50.0, 10.0)


def test_a_text_is_new_for_each_seed_and_the_same_for_one() -> None:
    """From its first words on, or a server would have some of it in its cache."""
    assert words(100, 1) == words(100, 1)
    assert words(100, 1).split()[:4] != words(100, 2).split()[:4]
    assert len(words(100, 1).split()) == 100


def test_every_server_is_asked_in_the_same_words() -> None:
    """With everything said that has a default somewhere."""
    body = story(3, 128).body()

    assert (body["max_tokens"], body["ignore_eos"]) == (128, True)
    assert {"temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed"} <= set(body)
    assert len(reading(1000, 7, 4).messages[0]["content"].split()) == 1000
