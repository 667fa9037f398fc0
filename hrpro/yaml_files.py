"""The subset of YAML that settings need: texts, numbers, lists and maps, without anything that expands in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, ScalarNode

from hrpro.errors import InputError
from hrpro.files import read_text

LONGEST = 1 << 18                                       # characters; more would take PyYAML seconds
DEEPEST = 10
_MERGE, _TIME, _VALUE = (f"tag:yaml.org,2002:{name}" for name in ("merge", "timestamp", "value"))


class _Loader(yaml.SafeLoader):
    """Refuses aliases, tags, merge keys, deep nesting, duplicate keys and integers beyond 64 bits. Dates are texts."""

    yaml_implicit_resolvers = {sign: [pair for pair in pairs if pair[0] not in (_TIME, _VALUE)]
                               for sign, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()}
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            self._refuse(f"the alias *{event.anchor} is not allowed; write the value itself", event)
        if getattr(event, "tag", None) not in (None, "!"):
            self._refuse(f"the tag {event.tag.replace('tag:yaml.org,2002:', '!!')[:60]} is not allowed; remove it",
                         event)
        self.depth += 1
        if self.depth > DEEPEST:
            self._refuse(f"values are nested more than {DEEPEST} deep", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._refuse("a key must be a string", key_node)
            if key_node.tag == _MERGE:
                self._refuse("the merge key << is not allowed; write the values themselves", key_node)
            key = _text(self, key_node)
            if key in found:
                self._refuse(f"the key {key[:60]!r} is listed twice; keep one", key_node)
            found[key] = self.construct_object(value_node, deep=True)
        return found

    def _refuse(self, why: str, at: Any) -> None:
        raise yaml.constructor.ConstructorError(None, None, why, at.start_mark)


def _mapping(loader: _Loader, node: MappingNode) -> dict[str, Any]:
    return loader.construct_mapping(node)


def _text(loader: _Loader, node: ScalarNode) -> str:
    if not node.value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in node.value):
        loader._refuse("a string holds half of a surrogate pair; write the character itself", node)
    return node.value


def _integer(loader: _Loader, node: ScalarNode) -> int:
    try:
        value = loader.construct_yaml_int(node) if len(node.value) < 100 else 1 << 64
    except ValueError:                                  # an underscore alone
        value = 1 << 64
    if value.bit_length() > 63:
        loader._refuse(f"{node.value[:40]!r} is not a whole number below 2^63 in size", node)
    return value


def _decimal(loader: _Loader, node: ScalarNode) -> float:
    try:
        return loader.construct_yaml_float(node)
    except (ValueError, OverflowError):
        return loader._refuse(f"{node.value[:40]!r} is not a number", node)


for _name, _construct in (("map", _mapping), ("str", _text), ("int", _integer), ("float", _decimal)):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", _construct)


def parse_yaml(text: str, place: str) -> Any:
    """Parse one YAML document.

    Args:
        text: the document.
        place: its source, for messages.

    Returns:
        None, a bool, int, float or str, or lists and dicts (with text keys) of these.

    Raises:
        InputError: not YAML, or YAML with aliases, tags, merge keys, duplicate keys or deep nesting, or too long.
    """
    if len(text) > LONGEST:
        raise InputError(f"{place}: has {len(text):,} characters; settings may have {LONGEST:,}. Shorten it.")
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        why = getattr(error, "problem", None) or " ".join(str(error).split())
        raise InputError(f"{place}: {line}cannot be read as YAML ({why}). Correct it.") from None


def read_yaml(path: Path) -> Any:
    """Parse a YAML file; see `parse_yaml`."""
    return parse_yaml(read_text(path), str(path))
