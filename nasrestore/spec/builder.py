"""From YAML events to a located tree.

PyYAML's pure-Python parser delivers the events; all that gives them a meaning is here, so that
duplicate keys, tags, unbounded aliases and deep nesting are refused with a place, before anything
recurses without bound. The C loader is never used: it crashes on deep nesting.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from nasrestore.errors import Location, SpecError, raise_all
from nasrestore.spec.scalar import Scalar, resolve_plain
from nasrestore.spec.tree import MAX_DEPTH, Tree, child_path, shown

MAX_ALIAS_NODES = 10_000

_SURROGATE = re.compile("[\ud800-\udfff]")
_HINTS = (
    ("'\\t'", "indent with spaces, not with tabs"),
    ("mapping values are not allowed", "check the indentation; text with ': ' needs quotes"),
    ("cannot start any token", "put the text in quotes"),
    ("alias", "text that begins with * needs quotes"),
)


class Builder:
    """From events to a tree; its methods are one per event kind.

    What is wrong but leaves the structure clear is collected in ``errors``; the rest is raised.
    """

    def __init__(self, text: str, name: str, column: int, path: str) -> None:
        self.name = name
        self.column = column
        self.path = path
        self.errors: list[SpecError] = []
        self.anchors: dict[str, Tree] = {}
        self.open_anchors: set[str] = set()
        self.alias_nodes = 0
        self.loader: Any = yaml.SafeLoader(text)  # what its marks and events hold is untyped

    def build(self) -> Tree:
        try:
            tree = self.document()
        except SpecError as fatal:
            self.errors.append(fatal)
        raise_all(self.errors)
        return tree

    def document(self) -> Tree:
        self.next_event()  # the start of the stream
        start = self.next_event()
        event = self.next_event() if isinstance(start, yaml.DocumentStartEvent) else None
        if event is None or _is_nothing(event):
            raise SpecError(Location(self.name, 1, self.column), self.path, "the file is empty")
        tree = self.node(event, self.path, None, depth=0)
        self.next_event()  # the end of the document
        after = self.next_event()
        if isinstance(after, yaml.DocumentStartEvent):
            self.report(after, self.path, "a second document begins here", "keep one in a file")
        return tree

    def next_event(self) -> yaml.Event:
        try:
            event: yaml.Event | None = self.loader.get_event()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark or self.loader.get_mark()
            raise self.syntax_error(mark, error.problem, error.context) from None
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # PyYAML lets escapes beyond Unicode and endless version numbers fall through
            raise self.syntax_error(self.loader.get_mark(), str(error), None) from None
        assert event is not None, "asked for an event after the end of the stream"
        return event

    def syntax_error(self, mark: Any, problem: str | None, context: str | None) -> SpecError:
        message = ", ".join(part for part in (context, problem) if part)
        hint = next((hint for sign, hint in _HINTS if sign in message), None)
        return SpecError(self.place(mark), self.path, f"not valid YAML: {message}", hint)

    def place(self, mark: Any) -> Location:
        shift = self.column if mark.line == 0 else 1
        return Location(self.name, mark.line + 1, mark.column + shift)

    def report(self, event: yaml.Event, path: str, message: str, hint: str | None = None) -> None:
        self.errors.append(SpecError(self.place(event.start_mark), path, message, hint))

    def node(self, event: yaml.Event, path: str, key_location: Location | None, depth: int) -> Tree:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, path, key_location, depth)
        assert isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent))
        at = self.place(event.start_mark)
        self.refuse_tag(event, path)
        anchor = self.open_anchor(event, path)
        if isinstance(event, yaml.ScalarEvent):
            tree = Tree("scalar", self.scalar(event, path), at, path, key_location)
        elif depth >= MAX_DEPTH:
            raise SpecError(at, path[:60], f"nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.MappingStartEvent):
            tree = Tree("mapping", self.mapping(path, depth), at, path, key_location)
        else:
            tree = Tree("sequence", self.sequence(path, depth), at, path, key_location)
        if anchor is not None:
            self.open_anchors.discard(anchor)
            self.anchors[anchor] = tree
        return tree

    def refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, path: str) -> None:
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.report(event, path, f"tags are not read, found {tag!r}", "leave it out")

    def scalar(self, event: yaml.ScalarEvent, path: str) -> Scalar:
        text: str = event.value
        if _SURROGATE.search(text):
            self.report(event, path, "half a surrogate pair is no character")
            return ""
        if not _is_plain(event):
            return text
        try:
            return resolve_plain(text)
        except ValueError as error:
            self.report(event, path, str(error))
            return 0

    def sequence(self, path: str, depth: int) -> list[Tree]:
        items: list[Tree] = []
        while not isinstance(event := self.next_event(), yaml.SequenceEndEvent):
            items.append(self.node(event, child_path(path, len(items)), None, depth + 1))
        return items

    def mapping(self, path: str, depth: int) -> dict[str, Tree]:
        children: dict[str, Tree] = {}
        while not isinstance(event := self.next_event(), yaml.MappingEndEvent):
            key = self.key(event, path, depth)
            at = self.place(event.start_mark)
            inside = path if key is None else child_path(path, key)
            child = self.node(self.next_event(), inside, at, depth + 1)
            if key is None:
                continue
            if key in children:
                first = children[key].key_location
                assert first is not None
                where = f"first at line {first.line}"
                if first.line == at.line:
                    where += f", column {first.column}"
                self.report(event, inside, f"duplicate key {key!r}, {where}", "remove one")
            else:
                children[key] = child
        return children

    def key(self, event: yaml.Event, path: str, depth: int) -> str | None:
        """The key that an event begins, or None after reporting that it cannot be one."""
        known = len(self.errors)
        tree = self.node(event, path, None, depth + 1)
        if len(self.errors) > known:
            return None
        if not isinstance(tree.value, str):
            found = shown(tree) if tree.kind != "scalar" else repr(tree.value)
            hint = f"write it as '{event.value}'" if isinstance(event, yaml.ScalarEvent) else None
            self.report(event, path, f"keys must be strings, found {found}", hint)
            return None
        if isinstance(event, yaml.ScalarEvent) and _is_plain(event) and tree.value == "<<":
            self.report(event, path, "merge keys ('<<') are not read", "use 'extends: FILE'")
            return None
        return tree.value

    def open_anchor(
        self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, path: str
    ) -> str | None:
        anchor: str | None = event.anchor
        if anchor is None:
            return None
        if anchor in self.anchors or anchor in self.open_anchors:
            self.report(event, path, f"anchor '&{anchor}' is defined twice", "rename one")
            return None
        self.open_anchors.add(anchor)
        return anchor

    def alias(
        self, event: yaml.AliasEvent, path: str, key_location: Location | None, depth: int
    ) -> Tree:
        """A copy of the anchored value, if all aliases together stay within bounds."""
        at = self.place(event.start_mark)
        target = self.anchors.get(event.anchor or "")
        if target is None:
            inside = event.anchor in self.open_anchors
            why = "stands inside its own anchor" if inside else "has no anchor before it"
            hint = None if inside else "text that begins with * needs quotes"
            self.report(event, path, f"alias '*{event.anchor}' {why}", hint)
            return Tree("scalar", None, at, path, key_location)
        nodes, height = _extent(target)
        self.alias_nodes += nodes
        if self.alias_nodes > MAX_ALIAS_NODES:
            message = f"aliases expand to more than {MAX_ALIAS_NODES:,} values"
            raise SpecError(at, path, message, "write out less")
        if depth + height > MAX_DEPTH:
            raise SpecError(at, path[:60], f"nested more than {MAX_DEPTH} deep")
        return target.moved(path, key_location, at)


def _is_plain(event: yaml.ScalarEvent) -> bool:
    return bool(event.implicit[0]) and event.tag is None


def _is_nothing(event: yaml.Event) -> bool:
    return isinstance(event, yaml.ScalarEvent) and _is_plain(event) and not event.value


def _extent(tree: Tree) -> tuple[int, int]:
    """Number of values in a tree, and how deep its collections are nested."""
    if tree.kind == "scalar":
        return 1, 0
    children = tree.value.values() if tree.kind == "mapping" else tree.value
    extents = [_extent(child) for child in children]
    return 1 + sum(n for n, _ in extents), 1 + max((height for _, height in extents), default=0)
