"""Parses the text of a settings file into a ``Config``, or all its faults. Kind: rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inglenook.common.errors import ConfigError, Fault
from inglenook.config.nearest import did_you_mean
from inglenook.config.schema import SETTINGS, Config, Setting
from inglenook.config.yamltext import Finding, Items, Node, Section, Text, dotted, read_yaml
from inglenook.discovery.settings import DiscoverySettings
from inglenook.engine.settings import CacheSettings, EngineSettings, ModelSettings
from inglenook.gateway.settings import ListenSettings
from inglenook.governor.settings import GovernorSettings
from inglenook.power.settings import PowerSettings, WakeSettings
from inglenook.serving.settings import ServingSettings

_BY_KEY = {setting.key: setting for setting in SETTINGS}
_HINTS_MAX = 100
_SECTIONS = {setting.key.partition(".")[0] for setting in SETTINGS if "." in setting.key}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Surroundings of a settings file, for its relative and default values.

    Attributes:
        folder: Base of relative paths.
        environ: The environment, for the state folder.
        host_name: This machine's.
    """

    folder: Path
    environ: Mapping[str, str]
    host_name: str


def parse_config(text: str, source: str, around: Surroundings) -> Config:
    """Read settings.

    Args:
        text: YAML.
        source: Name of the file in faults.
        around: Its surroundings.

    Raises:
        ConfigError: With all faults, in the order of the file.
    """
    tree, findings = read_yaml(text)
    found = _convert(tree, findings, around.folder)
    if found.get("name") is None:
        found["name"] = _default_name(around.host_name)
    if found.get("state_dir") is None:
        found["state_dir"] = _default_state_dir(around.environ)
    if found["state_dir"] is None:
        what = "no folder for state, as HOME is not set either; write one here"
        findings.append(Finding(0, "state_dir", what))
    listen = ListenSettings(**_of("listen", found))
    if not any(finding.where.startswith("listen") for finding in findings):
        findings += _port_findings(listen, tree)
    wake = WakeSettings(**_of("wake", found))
    findings += _target_findings(wake, tree)
    if findings:
        raise ConfigError([_fault(finding) for finding in sorted(findings)], source)
    return Config(
        name=found["name"],
        state_dir=found["state_dir"],
        listen=listen,
        model=ModelSettings(**_of("model", found)),
        engine=EngineSettings(**_of("engine", found)),
        cache=CacheSettings(**_of("cache", found)),
        serving=ServingSettings(**_of("serving", found)),
        governor=GovernorSettings(**_of("governor", found)),
        discovery=DiscoverySettings(**_of("discovery", found)),
        power=PowerSettings(**_of("power", found)),
        wake=wake,
    )


def _convert(tree: Section, findings: list[Finding], folder: Path) -> dict[str, Any]:
    """Return the values of all valid settings in the file."""
    found: dict[str, Any] = {}
    for key, node in _leaves(tree, findings):
        try:
            value = _value(_BY_KEY[key], node)
        except ValueError as exc:
            findings.append(Finding(node.line, key, str(exc)))
        else:
            found[key] = folder / value if isinstance(value, Path) else value
    return found


def _leaves(tree: Section, findings: list[Finding]) -> Iterator[tuple[str, Node]]:
    """Walk the known settings in the file; unknown ones become findings."""
    for name, node in tree.entries.items():
        if name not in _SECTIONS:
            yield from _known("", name, node, findings)
        elif isinstance(node, Section):
            for key, inner in node.entries.items():
                yield from _known(name, key, inner, findings)
        elif not (isinstance(node, Text) and node.is_null):  # all its settings commented out
            what = "not one value but a section; write its settings below it, indented"
            findings.append(Finding(node.line, name, what))


def _known(
    section: str, name: str, node: Node, findings: list[Finding]
) -> Iterator[tuple[str, Node]]:
    key = f"{section}.{name}" if section else name
    # A dotted name at the top reads like a setting, and would escape the check for repeats.
    if key in _BY_KEY and "." not in name:
        yield key, node
        return
    # A file with this many faults is no settings file, and suggestions take time.
    hint = did_you_mean(section, name) if len(findings) < _HINTS_MAX else ""
    findings.append(Finding(node.line, dotted(section, name), f"unknown setting{hint}"))


def _value(setting: Setting, node: Node) -> Any:
    """Convert the file's text.

    Raises:
        ValueError: With a sentence that says what to write instead.
    """
    if setting.many:
        if not isinstance(node, Items):
            raise ValueError("not a list; write it in brackets, such as [a, b], or [] for none")
        return tuple(_text(setting, item) for item in node.items)
    if setting.optional and isinstance(node, Text) and node.is_null:
        return None
    return _text(setting, node)


def _text(setting: Setting, node: Node) -> Any:
    if not isinstance(node, Text):
        what = "a list" if isinstance(node, Items) else "a section"
        raise ValueError(f"{what}, where one value belongs: {setting.kind.expects}")  # noqa: TRY004  # a fault in the file
    if node.is_null:
        raise ValueError(f"no value; write {setting.kind.expects}, or remove the line")
    return setting.kind.read(node.text)


def _of(room: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a package's fields among the file's settings."""
    fields = {key: _BY_KEY[key].field.partition(".") for key in found}
    return {field: found[key] for key, (owner, _, field) in fields.items() if owner == room}


def _port_findings(listen: ListenSettings, tree: Section) -> Iterable[Finding]:
    line = tree.entries["listen"].line if "listen" in tree.entries else 0
    ports = Counter(port for port in (listen.port, listen.tls_port, *listen.extra) if port)
    if not ports:
        yield Finding(line, "listen", "port, tls_port and extra are all off; set one of them")
    for port, times in ports.items():
        if times > 1:
            yield Finding(line, "listen", f"port {port} is given twice in port, tls_port and extra")


def _target_findings(wake: WakeSettings, tree: Section) -> Iterable[Finding]:
    section = tree.entries.get("wake")
    line = section.entries["targets"].line if isinstance(section, Section) and wake.targets else 0
    # Their names are compared regardless of case.
    for name, times in Counter(target.name.casefold() for target in wake.targets).items():
        if times > 1:
            what = f"two machines are called {name!r}; give each a name of its own"
            yield Finding(line, "wake.targets", what)


def _fault(finding: Finding) -> Fault:
    if not finding.where:
        return Fault(f"line {finding.line}", finding.what)
    line = f" (line {finding.line})" if finding.line else ""
    return Fault(finding.where, finding.what + line)


def _default_state_dir(environ: Mapping[str, str]) -> Path | None:
    # systemd lists every StateDirectory= of the unit; ours has one.
    if given := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    # The XDG base directory specification has relative paths ignored.
    if (state_home := environ.get("XDG_STATE_HOME", "")).startswith("/"):
        return Path(state_home) / "inglenook"
    home = environ.get("HOME", "")
    return Path(home) / ".local/state/inglenook" if home else None


def _default_name(host_name: str) -> str:
    """Make a name for people: ``kitchen-pi.home`` becomes ``Kitchen-Pi``."""
    label = host_name.partition(".")[0]
    return ("inglenook" if label in ("", "localhost") else label).title()
