"""Settings: a YAML file into one frozen ``Config``, or every fault in it at once."""

from inglenook.config.load import load_config, settings_file, user_settings_file
from inglenook.config.schema import Config, show

__all__ = ["Config", "load_config", "settings_file", "show", "user_settings_file"]
