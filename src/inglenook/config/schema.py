"""All settings, and the ``Config`` they make. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import yaml

from inglenook.config import values
from inglenook.config.powervalues import hours, wake_target
from inglenook.config.values import Kind
from inglenook.config.yamltext import NULLS
from inglenook.discovery.settings import DiscoverySettings
from inglenook.engine.settings import CacheSettings, EngineSettings, ModelSettings
from inglenook.gateway.settings import ListenSettings
from inglenook.governor.settings import GovernorSettings
from inglenook.power.settings import PowerSettings, WakeSettings
from inglenook.serving.settings import ServingSettings


@dataclass(frozen=True, slots=True)
class Config:
    """Configuration of the program; each package gets its own part.

    Attributes:
        name: The box's name for phones.
        state_dir: Folder of its persistent state.
    """

    name: str
    state_dir: Path
    listen: ListenSettings = field(default_factory=ListenSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    serving: ServingSettings = field(default_factory=ServingSettings)
    governor: GovernorSettings = field(default_factory=GovernorSettings)
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    power: PowerSettings = field(default_factory=PowerSettings)
    wake: WakeSettings = field(default_factory=WakeSettings)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting.

    Attributes:
        key: Dotted path in the file.
        field: Dotted path in `Config`.
        kind: Text form of its value.
        optional: It may be null; its comment in the example says what that means.
        many: It is a list of such values.
    """

    key: str
    field: str
    kind: Kind
    optional: bool = False
    many: bool = False


_IDLE = values.duration("1s", "30d", zero="never")

SETTINGS = (
    Setting("name", "name", values.name, optional=True),
    Setting("state_dir", "state_dir", values.path, optional=True),
    Setting("listen.host", "listen.host", values.host),
    Setting("listen.port", "listen.port", values.port_or_off),
    Setting("listen.tls_port", "listen.tls_port", values.port_or_off),
    Setting("listen.extra", "listen.extra", values.port, many=True),
    Setting("listen.names", "listen.names", values.host, many=True),
    Setting("listen.origins", "listen.origins", values.origin, many=True),
    Setting("model.path", "model.path", values.path, optional=True),
    Setting(
        "model.context",
        "engine.context_tokens",
        values.or_auto(values.whole(512, 1_048_576, "a number of tokens")),
    ),
    Setting("model.kv_type", "engine.kv_type", values.or_auto(values.choice("f16", "q8_0"))),
    Setting("model.thinking", "serving.thinking", values.thinking),
    Setting("engine.max_sequences", "engine.max_sequences", values.whole(1, 64)),
    Setting("engine.threads", "engine.threads", values.or_auto(values.whole(1, 256))),
    Setting("engine.step_budget", "engine.step_budget_s", values.duration("20ms", "1s")),
    Setting("engine.speculation", "engine.speculation", values.choice("off", "auto")),
    Setting("cache.ram", "cache.ram_bytes", values.or_auto(values.size("1024GiB"))),
    Setting("cache.disk", "cache.disk_bytes", values.or_auto(values.size("1024GiB"))),
    Setting("cache.shared", "serving.shared_cache", values.boolean),
    Setting("serving.queue", "serving.queue", values.whole(1, 1024)),
    Setting("serving.resume_ttl", "serving.resume_ttl_s", values.duration("1s", "7d")),
    Setting(
        "serving.unread_grace", "serving.unread_grace_s", values.duration("1s", "1d", zero="none")
    ),
    Setting("serving.journal", "serving.journal", values.boolean),
    Setting("governor.enabled", "governor.enabled", values.boolean),
    Setting("governor.root", "governor.root", values.path),
    Setting("discovery.enabled", "discovery.enabled", values.boolean),
    Setting("discovery.mac", "discovery.mac", values.boolean),
    Setting("power.unload_after", "power.unload_after_s", _IDLE),
    Setting("power.stop_after", "power.stop_after_s", _IDLE),
    Setting("power.suspend_after", "power.suspend_after_s", _IDLE),
    Setting("power.awake_hours", "power.awake_hours", hours, optional=True),
    Setting("wake.udp_port", "wake.udp_port", values.port_or_off),
    Setting("wake.targets", "wake.targets", wake_target, many=True),
)


def show(config: Config) -> str:
    """Return the settings in force as YAML that can be loaded again, without secrets."""
    tree: dict[str, Any] = {}
    for setting in SETTINGS:
        value = attrgetter(setting.field)(config)
        section, _, key = setting.key.rpartition(".")
        written: Any
        if setting.many:
            written = [setting.kind.write(item) for item in value]
        elif value is None and setting.optional:
            written = None
        else:
            written = setting.kind.write(value)
        (tree.setdefault(section, {}) if section else tree)[key] = written
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


class _Dumper(yaml.SafeDumper):
    """Writes in the form of our own reader: all scalars except null are plain text."""


_Dumper.yaml_implicit_resolvers = {}


def _plain(dumper: yaml.SafeDumper, value: object) -> yaml.Node:
    if value is None:
        text, style = "null", None
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        style = "'" if text in NULLS else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


for _type in (str, bool, int, type(None)):
    _Dumper.add_representer(_type, _plain)
