"""The configuration: one frozen object, judged once."""

from bridge.config.load import find_file, load
from bridge.config.model import Config

__all__ = ["Config", "find_file", "load"]
