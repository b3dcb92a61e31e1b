"""A YAML file as flat keys with the line on which each stands.

Only plain mappings are taken: no repeated key, no alias, no tag of its own. Raises
:class:`ConfigError` ``config.*`` with file and line.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import yaml

from keys.errors import ConfigError, shown

FILE_MAX = 256 * 1024
"""Bytes of a configuration file; ours have under 4 KiB."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it was set (``bridge.yaml line 3``, ``environment BRIDGE_NODE``)."""

    value: object
    where: str


def _bad(problem: str, where: str, message: str, hint: str) -> ConfigError:
    return ConfigError(f"config.{problem}", f"{where}: {message}.", hint)


def read_settings(
    data: bytes, name: str, is_section: Callable[[str], bool]
) -> Iterator[tuple[str, Setting]]:
    """The settings in ``data``, by dotted key; ``is_section`` tells which keys hold others."""
    if len(data) > FILE_MAX:
        raise _bad(
            "too_large", name, f"the file has more than {FILE_MAX} bytes", "Make it shorter."
        )
    try:
        text = data.decode()
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                where = (
                    name if event.start_mark is None else f"{name} line {event.start_mark.line + 1}"
                )
                raise _bad("alias", where, "aliases are not taken", "Write the value out.")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise _bad("text", name, "the file is not UTF-8", "Save it as UTF-8.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = name if mark is None else f"{name} line {mark.line + 1}"
        hint = "Look at the indentation and at colons around this line."
        raise _bad("yaml", where, "this is not YAML", hint) from error
    if root is not None and not (isinstance(root, yaml.ScalarNode) and root.value == ""):
        yield from _walk(root, "", name, is_section)


def value_of(text: str, where: str) -> object:
    """The YAML value in ``text``, as the environment gives it."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _bad("yaml", where, "this is not a YAML value", "Put it in quotes.") from error


def _walk(
    node: yaml.Node, prefix: str, name: str, is_section: Callable[[str], bool]
) -> Iterator[tuple[str, Setting]]:
    if not isinstance(node, yaml.MappingNode):
        where = f"{name} line {node.start_mark.line + 1}"
        what = f"`{prefix}` holds other keys" if prefix else "the file holds keys"
        raise _bad("section", where, f"{what}, not a value", "Write `key: value` below it.")
    seen: set[str] = set()
    for key_node, value_node in node.value:
        where = f"{name} line {key_node.start_mark.line + 1}"
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        if key in seen:
            raise _bad("repeated", where, f"{shown(key)} stands here twice", "Keep one of them.")
        seen.add(key)
        path = f"{prefix}.{key}" if prefix else key
        empty = isinstance(value_node, yaml.ScalarNode) and value_node.value == ""
        if is_section(path) and not empty:
            yield from _walk(value_node, path, name, is_section)
        elif not is_section(path):
            yield path, Setting(_construct(value_node, where), where)


def _construct(node: yaml.Node, where: str) -> object:
    constructor = yaml.SafeLoader("")
    try:
        value: object = constructor.construct_document(node)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _bad("yaml", where, "this value cannot be read", "Put it in quotes.") from error
    finally:
        constructor.dispose()
    return value
