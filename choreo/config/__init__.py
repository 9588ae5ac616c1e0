"""Settings: command line over CHOREO_* over profile over choreo.toml (or [tool.choreo]) over defaults.

Each value remembers where it came from. What the settings mean is left to those who use them.
"""

from choreo.config.load import Sources, load
from choreo.config.sections import Config, Setting
from choreo.config.service import service_settings

__all__ = ["Config", "Setting", "Sources", "load", "service_settings"]
