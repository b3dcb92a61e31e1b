"""A YAML file as flat keys with the line on which each stands.

Only plain mappings, lists and scalars are taken: no repeated key at any depth, no alias, no tag.
Whatever the bytes, there is a result or :class:`ConfigError` ``config.*`` with file and line, in time
that grows with the file alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import yaml

from keys.errors import ConfigError, shown

FILE_MAX = 64 * 1024
"""Bytes of a configuration file; ours have under 4 KiB."""
DEPTH_MAX = 16
"""Levels of nesting; ours have five. PyYAML takes minutes for a file of nothing but brackets."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it was set (``bridge.yaml line 3``, ``environment BRIDGE_NODE``)."""

    value: object
    where: str


def read_settings(
    data: bytes, name: str, is_section: Callable[[str], bool]
) -> Iterator[tuple[str, Setting]]:
    """The settings in ``data``, by dotted key; ``is_section`` tells which keys hold others."""
    if len(data) > FILE_MAX:
        raise _bad(
            "too_large", name, f"the file has more than {FILE_MAX} bytes", "Make it shorter."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _bad(
            "text", f"{name} line {line}", "the file is not UTF-8", "Save it as UTF-8."
        ) from error
    root = _compose(text, lambda line: f"{name} line {line}")
    if root is not None and not _is_empty(root):
        yield from _walk(root, "", lambda line: f"{name} line {line}", is_section)


def value_of(text: str, where: str) -> object:
    """The YAML value in ``text``, as the environment gives it."""
    root = _compose(text, lambda _: where)
    return None if root is None else _construct(root, lambda _: where)


_Where = Callable[[int], str]
"""What an error calls a line, counted from 1."""


def _bad(problem: str, where: str, message: str, hint: str) -> ConfigError:
    return ConfigError(f"config.{problem}", f"{where}: {message}.", hint)


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == ""


def _line(node: yaml.Node | yaml.Event) -> int:
    mark = node.start_mark
    return 1 if mark is None else mark.line + 1


def _compose(text: str, where: _Where) -> yaml.Node | None:
    """The nodes in ``text``; the events are looked at first, because composing recurses."""
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            _refuse(event, depth, where)
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise _bad(
            "yaml",
            where(_error_line(error, text)),
            "this is not YAML",
            "Look at the indentation and at colons around this line, e.g. `node: prod-1`.",
        ) from error
    return root


def _refuse(event: yaml.Event, depth: int, where: _Where) -> None:
    if depth > DEPTH_MAX:
        raise _bad("depth", where(_line(event)), "this is nested too deeply", "Close a bracket.")
    if isinstance(event, yaml.AliasEvent):
        raise _bad("alias", where(_line(event)), "aliases are not taken", "Write the value out.")
    if getattr(event, "tag", None) is not None:
        # PyYAML falls over some of its own tags: `!!bool maybe` is a KeyError there.
        raise _bad("yaml", where(_line(event)), "tags like !!str are not taken", "Leave it out.")


def _error_line(error: Exception, text: str) -> int:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    position = getattr(error, "position", None)
    return text.count("\n", 0, position if isinstance(position, int) else 0) + 1


def _keys(node: yaml.MappingNode, where: _Where) -> Iterator[tuple[str, int, yaml.Node]]:
    """Key, line and value of each pair; none twice."""
    seen: set[str] = set()
    for key_node, value_node in node.value:
        line = _line(key_node)
        if not isinstance(key_node, yaml.ScalarNode):
            raise _bad("yaml", where(line), "a key is a word", "Write e.g. `node: prod-1`.")
        key = str(key_node.value)
        if key in seen:
            raise _bad(
                "repeated", where(line), f"{shown(key)} stands here twice", "Keep one of them."
            )
        seen.add(key)
        yield key, line, value_node


def _walk(
    node: yaml.Node, prefix: str, where: _Where, is_section: Callable[[str], bool]
) -> Iterator[tuple[str, Setting]]:
    if not isinstance(node, yaml.MappingNode):
        what = f"`{prefix}` holds other keys" if prefix else "the file holds keys"
        raise _bad(
            "section", where(_line(node)), f"{what}, not a value", "Write `key: value` below it."
        )
    for key, line, value_node in _keys(node, where):
        if "." in key:
            # Else one setting could be written in two ways, and the second would win unseen.
            raise _bad(
                "dotted",
                where(line),
                f"{shown(key)} has a dot",
                "Write one level below the other, e.g. `egress: {mode: offline}`.",
            )
        path = f"{prefix}.{key}" if prefix else key
        if not is_section(path):
            yield path, Setting(_construct(value_node, where), where(line))
        elif not _is_empty(value_node):
            yield from _walk(value_node, path, where, is_section)


def _construct(node: yaml.Node, where: _Where) -> object:
    if isinstance(node, yaml.MappingNode):
        return {key: _construct(value, where) for key, _, value in _keys(node, where)}
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, where) for item in node.value]
    constructor = yaml.SafeLoader("")
    try:
        value: object = constructor.construct_document(node)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise _bad(
            "yaml", where(_line(node)), "this value cannot be read", "Put it in quotes."
        ) from error
    finally:
        constructor.dispose()
    return value
