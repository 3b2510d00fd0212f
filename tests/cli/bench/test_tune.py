"""`inglenook tune` measures with the real library, keeps the best, and says what it won."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inglenook.cli.bench import tune
from inglenook.cli.bench.tune import row, run_search, verdict
from inglenook.common.errors import StartupError
from inglenook.daemon.statefolder import held_state_folder
from inglenook.engine.measure import Gauge
from inglenook.engine.search import Search
from inglenook.engine.trial import Speed, Trial, TrialSetting
from inglenook.gateway.control import SOCKET_NAME
from inglenook.models.board_identity import read_board
from inglenook.models.inspect import inspect_model
from inglenook.models.tuning import read_tuning
from tests.cli.conftest import Inglenook
from tests.parts.gguf_files import small_model

DEFAULT = Speed(100.0, 10.0, 20.0)


class Silence:
    """A display nobody looks at."""

    def __init__(self) -> None:
        self.questions: list[str] = []

    def loading(self, fraction: float) -> None:
        """Whatever it says."""

    def measuring(self, question: str, fraction: float) -> None:
        """Keep the question."""
        assert 0 <= fraction <= 1
        self.questions.append(question)


def searched(cores: int, board: Callable[[Trial], Speed | None]) -> Search:
    """A search on a made-up board."""
    search = Search(cores)
    while search.wanted is not None:
        search.tell(board(search.wanted))
    return search


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of one small layer."""
    path = tmp_path / "small.gguf"
    path.write_bytes(small_model())
    return path


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A second for all trials, and one core: threads that wait for busy cores take for ever."""
    monkeypatch.setattr(tune, "_BUDGET_S", 1.0)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("short")
def test_a_board_is_tuned(inglenook: Inglenook, model: Path, tmp_path: Path) -> None:
    """A row for every setting on stdout, what was won on stderr, and the best in the state."""
    ran = inglenook("tune", "--model", str(model))
    rows = [line.split("\t") for line in ran.out.splitlines()]
    kept = read_tuning(tmp_path / "state", inspect_model(model), read_board())

    assert ran.returncode == 0
    assert rows[0][:4] == ["1", "512", "auto", "f16"]
    # As much as this machine reads in a moment.
    assert int(rows[0][4]) in range(64, 513, 64)
    assert all(float(number) > 0 for number in rows[0][5:])
    assert kept is not None
    assert "reading the model\nmeasuring how fast the default is\n" in ran.err
    assert "stored; the daemon uses it from its next start on\n" in ran.err
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("short")
def test_a_terminal_gets_a_bar(
    inglenook: Inglenook, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That says what is being found out."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    ran = inglenook("tune", "--model", str(model))

    assert ran.returncode == 0
    assert "measuring how" in ran.err
    assert "━" in ran.err


@pytest.mark.usefixtures("short")
def test_settings_that_stand_against_it_are_named(
    inglenook: Inglenook, model: Path, config: Path
) -> None:
    """What the owner wrote counts."""
    config.write_text(config.read_text() + "engine: {threads: 1}\n")

    assert "engine.threads is set to 1, so" in inglenook("tune", "--model", str(model)).err


@pytest.mark.slow
def test_results_kept_at_once_are_all_kept(model: Path, tmp_path: Path) -> None:
    """Of several models, by processes of their own that begin together."""
    program = """
import sys
from dataclasses import replace
from pathlib import Path
from inglenook.cli.bench.tune import _keep
from inglenook.models.inspect import inspect_model
from inglenook.models.tuning import Tuning
info = inspect_model(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(5):
    model = replace(info, name=f"{sys.argv[3]}-{number}")
    _keep(Path(sys.argv[2]), model, Tuning(1, 512, "auto", "f16"))
"""
    words = [sys.executable, "-c", program, str(model), str(tmp_path)]
    pipe = subprocess.PIPE
    tuners = [
        subprocess.Popen([*words, str(number)], stdin=pipe, stdout=pipe) for number in range(6)
    ]
    for tuner in tuners:
        assert tuner.stdout is not None
        assert tuner.stdout.readline() == b"ready\n"
    for tuner in tuners:
        assert tuner.stdin is not None
        tuner.stdin.write(b"go\n")
        tuner.stdin.flush()
    for tuner in tuners:
        with tuner:
            assert tuner.wait(40) == 0

    info = inspect_model(model)
    names = [f"{tuner}-{number}" for tuner in range(6) for number in range(5)]
    kept = [read_tuning(tmp_path, replace(info, name=name), read_board()) for name in names]
    assert None not in kept


def test_beside_a_running_daemon_it_refuses(
    inglenook: Inglenook, model: Path, tmp_path: Path
) -> None:
    """Both would compute on the same cores."""
    (tmp_path / "state").mkdir()
    with held_state_folder(tmp_path / "state"):
        ran = inglenook("tune", "--model", str(model))

    assert (ran.returncode, ran.out) == (1, "")
    assert "the daemon is running" in ran.err
    assert "stop it, tune, and start it again" in ran.err


@pytest.mark.usefixtures("short")
def test_what_a_killed_daemon_left_is_no_daemon(
    inglenook: Inglenook, model: Path, tmp_path: Path
) -> None:
    """Its socket and its lock's file stay in the folder."""
    (tmp_path / "state").mkdir()
    with held_state_folder(tmp_path / "state"):
        pass
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "state" / SOCKET_NAME))

    assert inglenook("tune", "--model", str(model)).returncode == 0


def test_without_a_model_it_is_a_sentence(inglenook: Inglenook, tmp_path: Path) -> None:
    """And nothing is kept."""
    ran = inglenook("tune")

    assert (ran.returncode, ran.out) == (1, "")
    assert "`inglenook model pull starter`" in ran.err
    assert not (tmp_path / "state").exists()


#: Loads well; then every trial is as its argument says.
CHILD = """
import os, sys
print('{"type":"Loaded","cores":2}', flush=True)
for line in sys.stdin:
    exec(sys.argv[1])
"""
SPEED = (
    """print('{"type":"Speed","read_tok_s":3,"write_tok_s":2,"write_many_tok_s":1}', flush=True)"""
)


def gauge(what: str) -> Gauge:
    return Gauge(Path("model"), argv=(sys.executable, "-c", CHILD, what))


def test_time_that_runs_out_is_told() -> None:
    """The default is measured whatever happens; then it ends where it is."""
    search, display = Search(2), Silence()
    with gauge(SPEED) as slow:
        faults = run_search(search, slow, display, budget_s=1e-9)

    assert faults == ["time ran out before it was known how many threads"]
    assert [result.trial.setting for result in search.results] == [search.default]
    assert display.questions == ["how fast the default is"] * 2


def test_a_setting_that_dies_is_told_and_left_out() -> None:
    """Everything else is measured."""
    search = Search(2)
    with gauge(f"os.abort() if '\"off\"' in line else {SPEED}") as dying:
        faults = run_search(search, dying, Silence(), budget_s=60)

    assert faults == ["flash attention off: the library died of Aborted"]
    assert search.wanted is None


def test_a_default_that_dies_is_the_end() -> None:
    """There is nothing to compare with."""
    with (
        gauge("os.abort()") as dying,
        pytest.raises(StartupError, match="cannot be measured: the library died of Aborted"),
    ):
        run_search(Search(2), dying, Silence(), budget_s=60)


def faster(setting: TrialSetting, speed: Speed) -> Callable[[Trial], Speed]:
    return lambda trial: speed if trial.setting == setting else DEFAULT


@pytest.mark.parametrize(
    ("board", "line"),
    [
        (
            faster(TrialSetting(3), Speed(131.0, 10.4, 20.0)),
            "3 threads: reads 31 % faster, writes 4 % faster, 4 at once 0 % faster "
            "than the default of 4 threads",
        ),
        (
            faster(TrialSetting(4, flash_attention="off"), Speed(150.0, 9.0, 20.0)),
            "flash attention off: reads 50 % faster, writes 10 % slower, 4 at once 0 % faster "
            "than the default of flash attention auto",
        ),
        (
            lambda _trial: DEFAULT,
            "the default of 4 threads stays: nothing was clearly faster",
        ),
    ],
    ids=["threads", "attention", "nothing"],
)
def test_what_was_won_is_a_sentence(board: Callable[[Trial], Speed], line: str) -> None:
    """Against the default, by what is not as there."""
    assert verdict(searched(4, board))[0] == line


@pytest.mark.parametrize(
    ("times", "line"),
    [
        (
            2,
            "KV type q8_0: reads 100 % faster, writes 100 % faster, 4 at once 100 % faster "
            "than f16 after 500 tokens; `model.kv_type: auto` uses it",
        ),
        (
            0.9,
            "KV type q8_0: reads 10 % slower, writes 10 % slower, 4 at once 10 % slower "
            "than f16 after 500 tokens; f16 stays",
        ),
    ],
)
def test_the_kv_type_has_a_sentence_of_its_own(times: float, line: str) -> None:
    """It is applied only if the settings leave it open."""
    q8_0 = Speed(100 * times, 10 * times, 20 * times)
    search = searched(4, lambda trial: q8_0 if trial.setting.kv_type == "q8_0" else DEFAULT)

    assert verdict(search)[1] == line


def test_a_row_says_what_was_set_and_what_it_gave() -> None:
    """A pool of q8_0 has flash attention whatever was set; what crashed has no figures."""
    search = searched(1, lambda trial: None if trial.setting.kv_type == "q8_0" else DEFAULT)
    rows = [row(result) for result in search.results]

    assert rows[0] == ("1", "512", "auto", "f16", "64", "100.0", "10.0", "20.0")
    assert rows[-1] == ("1", "512", "on", "q8_0", "500", "failed", "", "")
