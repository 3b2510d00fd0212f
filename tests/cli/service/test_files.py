"""The service's files say what the settings, the model and the installation come to."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from inglenook.cli.service.files import (
    CONFIG_FILE,
    PORTS,
    SERVICE,
    UNIT_DIR,
    WAKE,
    MemoryLimits,
    Program,
    announcement,
    config_file,
    covered_paths,
    memory_limits,
    quoted,
    unit_files,
)
from inglenook.common.errors import StartupError
from inglenook.config import Config
from inglenook.config.load import load_config
from inglenook.gateway.settings import ListenSettings
from inglenook.models.footprint import Footprint
from inglenook.models.preflight import Memory
from inglenook.power.settings import WakeSettings

CHECKOUT = Path(__file__).parents[3]
PROGRAM = Program(Path("/opt/box/bin/python"), (Path("/opt/box"),), CHECKOUT / "systemd")
CONFIG = Config("Kitchen", Path("/var/lib/inglenook"))
MODEL = Path("/srv/model.gguf")
GIB = 2**30

#: ``systemd-analyze security`` counts ten times what it shows.
EXPOSURE_MOST = 13


def texts(
    config: Config = CONFIG,
    program: Program = PROGRAM,
    model: Path = MODEL,
    limits: MemoryLimits | None = None,
) -> dict[str, str]:
    """What is written, by its path below the folder of units."""
    files = unit_files(config, program, model, limits)
    return {str(file.path.relative_to(UNIT_DIR)): file.text for file in files}


def test_the_service_runs_this_very_installation() -> None:
    """By its own interpreter, with the service's settings, and nothing else before it."""
    text = texts()[f"{SERVICE}.d/10-paths.conf"]

    command = f"/opt/box/bin/python -m inglenook run --config {CONFIG_FILE}"
    assert text == f"[Service]\nExecStart=\nExecStart={command}\n"


@pytest.mark.parametrize(
    ("listen", "lines"),
    [
        (ListenSettings(), ["8377", "8378"]),
        (ListenSettings("::", 80, 0, (11434,)), ["80", "11434"]),
        (ListenSettings("192.0.2.7", 8377, 0), ["192.0.2.7:8377"]),
        (ListenSettings("2001:db8::7", 0, 8378), ["[2001:db8::7]:8378"]),
    ],
)
def test_systemd_listens_where_the_settings_say(listen: ListenSettings, lines: list[str]) -> None:
    """On the same ports, all addresses or one; the unit's own are put aside first."""
    text = texts(replace(CONFIG, listen=listen))[f"{PORTS}.d/10-ports.conf"]

    assert text.splitlines()[1:] == ["ListenStream=", *(f"ListenStream={line}" for line in lines)]


def test_a_host_name_is_no_place_to_listen_for_systemd() -> None:
    """It does not look names up, and would say so only in its log."""
    config = replace(CONFIG, listen=ListenSettings("kitchen.home"))

    with pytest.raises(StartupError, match=r"listen\.host: .* write one for 'kitchen.home'"):
        texts(config)


def test_there_is_no_ear_for_magic_packets_where_they_are_off() -> None:
    """And the service is not held up by its absence."""
    config = replace(CONFIG, wake=WakeSettings(udp_port=0))

    assert [name for name in texts(config) if WAKE in name] == []
    assert (
        "ListenDatagram=4000"
        in texts(replace(CONFIG, wake=WakeSettings(4000)))[f"{WAKE}.d/10-ports.conf"]
    )


def test_what_lies_in_a_home_folder_is_opened_and_nothing_beside_it() -> None:
    """Of a folder and what is in it, the folder; what is elsewhere can be seen anyway."""
    folders = (Path("/home/anna/box/.venv"), Path("/usr"), Path("/home/anna/box/src"))
    program = replace(PROGRAM, folders=folders)
    model = Path("/home/anna/box/src/a b.gguf")

    text = texts(program=program, model=model)[f"{SERVICE}.d/10-home.conf"]

    assert text.splitlines()[3:] == [
        "ProtectHome=tmpfs",
        "BindReadOnlyPaths=/home/anna/box/.venv",
        "BindReadOnlyPaths=/home/anna/box/src",
    ]
    assert f"{SERVICE}.d/10-home.conf" not in texts()


def test_a_link_to_a_model_in_a_home_folder_opens_its_target(tmp_path: Path) -> None:
    """The name alone would lead nowhere."""
    model = tmp_path / "model.gguf"  # in /tmp, which is covered too
    link = tmp_path / "link.gguf"
    model.touch()
    link.symlink_to(model)

    assert covered_paths((link, link.resolve())) == [link, model]


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/srv/model.gguf", "/srv/model.gguf"),
        ("/srv/my model.gguf", '"/srv/my model.gguf"'),
        ("/srv/100%", "/srv/100%%"),
        ('/srv/a"b', '"/srv/a\\"b"'),
    ],
)
def test_paths_are_written_as_systemd_reads_them(path: str, written: str) -> None:
    """Spaces, percent signs and quotes."""
    assert quoted(Path(path)) == written


def test_limits_leave_the_model_what_it_needs() -> None:
    """By the same rule that decides at each load whether there is room for it."""
    need = Footprint(2 * GIB, GIB, GIB // 4)

    limits = memory_limits(need, GIB // 2, None)

    assert limits.low_bytes == need.total_bytes
    daemon_bytes = 100 * 2**20
    left = Memory(limits.high_bytes - daemon_bytes, limits.high_bytes)
    assert left.budget_bytes > need.total_bytes + GIB // 2
    assert limits.max_bytes > limits.high_bytes < 5 * GIB


def test_what_is_chosen_by_free_memory_is_not_shrunk_by_the_limit() -> None:
    """`auto` takes a share of what is free, and a limit counts as what is free."""
    need = Footprint(GIB, GIB, 0)

    assert memory_limits(need, 0, 20 * GIB).high_bytes == 19 * GIB
    assert memory_limits(need, 0, GIB).high_bytes > 2 * GIB


def test_limits_are_written_in_whole_mebibytes() -> None:
    """As systemd.resource-control(5) has them."""
    text = texts(limits=MemoryLimits(GIB, 2 * GIB, 3 * GIB))[f"{SERVICE}.d/10-memory.conf"]

    assert text.splitlines()[3:] == ["MemoryLow=1024M", "MemoryHigh=2048M", "MemoryMax=3072M"]


def test_the_sleeping_box_is_announced_as_the_same_box() -> None:
    """Its name, port and id; asleep; and whatever a name may hold, it is well-formed."""
    config = replace(CONFIG, name="Anna & Ben's <box>")

    text = announcement(config, PROGRAM, "ab12cd34", "dc:a6:32:01:02:03").text

    group = ET.fromstring(text)
    assert group.findtext("name") == "Anna & Ben's <box>@NUMBER@"
    assert group.findtext("service/port") == "8377"
    assert group.findtext("service/type") == "_inglenook._tcp"
    records = {record.text for record in group.iterfind("service/txt-record")}
    assert {"id=ab12cd34", "st=sleep", "mac=dc:a6:32:01:02:03", "tls=1"} <= records


@pytest.mark.parametrize(
    ("kept", "name"),
    [
        ("2\nKitchen", "Kitchen-2"),
        ("99\nKitchen", "Kitchen-99"),
        ("1\nKitchen", "Kitchen"),
        (None, "Kitchen"),
        ("", "Kitchen"),
        ("$(reboot)\n", "Kitchen"),
        ("2/e id\n", "Kitchen"),
        ("2</name>\n", "Kitchen"),
        ("123456\n", "Kitchen"),
    ],
)
def test_the_sleeping_box_is_announced_by_the_name_it_holds(
    tmp_path: Path, kept: str | None, name: str
) -> None:
    """The unit's own line does it, as root: of what the service wrote it takes a number at most."""
    state, settings, services = (tmp_path / name for name in ("state", "etc", "services"))
    for folder in (state, settings, services):
        folder.mkdir()
    (state / "asleep").touch()
    if kept is not None:
        (state / "instance_name").write_text(kept)
    text = announcement(replace(CONFIG, name="Kitchen"), PROGRAM, "ab12cd34", None).text
    (settings / "avahi.service").write_text(text)
    unit = (PROGRAM.templates / SERVICE).read_text()
    line = next(line for line in unit.splitlines() if line.startswith("ExecStopPost="))
    command = line.partition("-c '")[2].removesuffix("'").replace("$$", "$")
    for path, stands_for in {
        "/var/lib/inglenook": state,
        "/etc/inglenook": settings,
        "/etc/avahi/services": services,
    }.items():
        command = command.replace(path, str(stands_for))

    subprocess.run(["sh", "-c", command], check=True, timeout=60)

    assert [path.name for path in services.iterdir()] == ["inglenook.service"]
    assert ET.fromstring((services / "inglenook.service").read_text()).findtext("name") == name


SETTINGS = """
# mine
name: null
state_dir: old
listen: {port: 9377, extra: [11434]}
model: {path: my.gguf, context: auto}
engine:
  speculation: off
  # threads: 3
power:
wake:
  targets: [Office=aa:bb:cc:dd:ee:ff/00:11:22:33:44:55]
"""


def test_settings_in_use_become_the_services(tmp_path: Path) -> None:
    """All but the folder of state; read again they are the same, secrets and relative paths too."""
    old, new = tmp_path / "old.yaml", tmp_path / "elsewhere" / "config.yaml"
    old.write_text(SETTINGS)
    before = load_config(old, {})

    new.parent.mkdir()
    new.write_text(config_file(before, SETTINGS).text)

    after = load_config(new, {})
    assert after == replace(before, state_dir=Path("/var/lib/inglenook"))
    assert after.model.path == tmp_path / "my.gguf"
    assert after.wake.targets[0].secure_on == "00:11:22:33:44:55"


def test_without_settings_the_services_have_a_name_and_a_folder(tmp_path: Path) -> None:
    """The name is written down, where somebody who looks for it will find it."""
    path = tmp_path / "config.yaml"

    path.write_text(config_file(CONFIG, "").text)

    assert load_config(path, {}) == CONFIG


@pytest.mark.system
def test_the_units_are_clean_and_leave_little_open(tmp_path: Path) -> None:
    """By systemd's own judgement: nothing to complain of, and an exposure of 1.3 at most."""
    python = shutil.which("python3")
    assert python is not None
    program = replace(PROGRAM, python=Path(python), folders=(Path("/home/anna/.venv"),))
    limits = MemoryLimits(GIB, 2 * GIB, 3 * GIB)
    for name, text in texts(program=program, limits=limits).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    units = [str(tmp_path / name) for name in (SERVICE, PORTS, WAKE)]

    verified = analyze("verify", *units)
    judged = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MOST}", units[0])

    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    assert judged.returncode == 0, judged.stdout


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_units_say_what_the_usual_settings_do() -> None:
    """For who installs them by hand, without what the installer adds."""
    found = texts()

    assert "ListenStream=8377\nListenStream=8378\n" in found[PORTS]
    assert "ListenDatagram=9\n" in found[WAKE]
