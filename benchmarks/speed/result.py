"""What a scenario found: figures of every round, and what is claimed of them. Kind: rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.speed.servers import Setting


@dataclass(frozen=True, slots=True)
class Lengths:
    """How much is asked for, so that a run takes minutes and not hours.

    Attributes:
        answer: Tokens of an answer whose speed is measured.
        crowd: Tokens of an answer when many ask.
        long_prompt: Tokens of a long text that is read.
        question: Tokens of a question that is typed.
        system: Tokens of a long system prompt.
        typing_s: How long the typing takes.
    """

    answer: int
    crowd: int
    long_prompt: int = 1000
    question: int = 300
    system: int = 500
    typing_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Bench:
    """What a scenario is run with.

    Attributes:
        setting: What all contenders are given alike.
        lengths: How much is asked for.
        rounds: How often everything is measured, contenders taking turns.
        say: Told now and then how far it is.
    """

    setting: Setting
    lengths: Lengths
    rounds: int
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, round by round.

    Attributes:
        what: The row of the table.
        who: The column.
        unit: Such as ``tok/s``.
    """

    what: str
    who: str
    unit: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.rounds)


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that should hold.

    Attributes:
        text: What of what.
        rounds: It, round by round; ratios are taken within a round, so a slow minute counts on
            both sides.
        bound: What its median should be.
        at_least: False if the bound is the most it should be.
    """

    text: str
    rounds: tuple[float, ...]
    bound: float
    at_least: bool

    @property
    def value(self) -> float:
        """The middle one."""
        return median(self.rounds)

    @property
    def holds(self) -> bool:
        """Whether it is so."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass(frozen=True, slots=True)
class Result:
    """What one scenario found on one model."""

    scenario: str
    model: str
    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...]


@dataclass
class Ledger:
    """Figures and claims as they come in."""

    claims: list[Claim] = field(default_factory=list)
    _rounds: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)

    def note(self, what: str, who: str, unit: str, value: float) -> None:
        """Write down one value of one round."""
        self._rounds.setdefault((what, who, unit), []).append(value)

    def rounds(self, what: str, who: str) -> Sequence[float]:
        """All values of one figure."""
        return next(
            v for (row, column, _), v in self._rounds.items() if (row, column) == (what, who)
        )

    def claim(
        self,
        text: str,
        above: tuple[str, str],
        below: tuple[str, str] | None = None,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Claim something of a figure, or of the ratio of two; each named by row and column."""
        values = self.rounds(*above)
        if below is not None:
            pairs = zip(values, self.rounds(*below), strict=True)
            values = [over / under for over, under in pairs]
        bound = at_least if at_least is not None else at_most
        assert bound is not None
        self.claims.append(Claim(text, tuple(values), bound, at_least is not None))

    def result(self, scenario: str, setting: Setting) -> Result:
        """All of it."""
        figures = (Figure(*key, tuple(values)) for key, values in self._rounds.items())
        return Result(scenario, setting.model.stem, tuple(figures), tuple(self.claims))
