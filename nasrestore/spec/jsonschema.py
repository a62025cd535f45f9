"""JSON Schema of the spec classes, for editors and for other programs that write recipes."""

from __future__ import annotations

import json
from typing import Any

from nasrestore.spec.leaf import (
    Anything,
    Bounds,
    Calculated,
    Flag,
    Leaf,
    ListOf,
    MappingOf,
    Nested,
    Null,
    OneOf,
    Real,
    Text,
    Whole,
    leaves,
)
from nasrestore.spec.schema import FieldSchema, Located, fields_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME_PATTERN = "^[A-Za-z_][A-Za-z0-9_]*$"

_TYPES: dict[type[Leaf], str] = {Null: "null", Flag: "boolean", Text: "string"}


def json_schema(cls: type, title: str) -> dict[str, Any]:
    """The JSON Schema, draft 2020-12, of the files that ``cls`` reads.

    It refuses unknown keys. Rules that span several fields, and the text of expressions, are
    beyond it.

    Raises:
        ValueError: an annotation that the schema has no reading of.
    """
    definitions: dict[str, Any] = {}
    root = _object(cls, definitions)
    schema = {"$schema": DIALECT, "title": title, **root}
    return {**schema, "$defs": definitions} if definitions else schema


def _object(cls: type, definitions: dict[str, Any]) -> dict[str, Any]:
    members = fields_of(cls)
    doc = (cls.__doc__ or "").strip()
    written = doc and not doc.startswith(f"{cls.__name__}(")  # what dataclass makes up is no doc
    required = [member.key for member in members if member.required]
    return {
        "type": "object",
        **({"description": doc.splitlines()[0]} if written else {}),
        "properties": {member.key: _property(member, definitions) for member in members},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _property(member: FieldSchema, definitions: dict[str, Any]) -> dict[str, Any]:
    if member.read is None:
        schema = _value(member.hint, member, definitions)
    else:
        schema = dict(member.schema or {})
        if member.nullable and schema:
            schema = {"anyOf": [schema, {"type": "null"}]}
    about: dict[str, Any] = {"description": member.doc} if member.doc else {}
    return {**schema, **about, **_default(member)}


def _default(member: FieldSchema) -> dict[str, Any]:
    if member.required:
        return {}
    factory = member.default_factory
    value = factory() if callable(factory) else member.default
    if isinstance(value, Located):
        value = value.tree.plain()
    try:
        return {"default": json.loads(json.dumps(value, allow_nan=False))}
    except (TypeError, ValueError):
        return {}  # JSON has no infinity, and a reader's own objects are not plain data


def _value(hint: Any, member: FieldSchema, definitions: dict[str, Any]) -> dict[str, Any]:
    schemas = [_leaf(leaf, member, definitions) for leaf in leaves(hint)]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _leaf(leaf: Leaf, member: FieldSchema, definitions: dict[str, Any]) -> dict[str, Any]:
    if isinstance(leaf, Anything):
        return {}
    if isinstance(leaf, Calculated):
        expression = {"type": "string", "pattern": r"\$"}
        return {"anyOf": [_number("number", member.bounds), expression]}
    if isinstance(leaf, (Whole, Real)):
        return _number("integer" if isinstance(leaf, Whole) else "number", member.bounds)
    if isinstance(leaf, OneOf):
        return {"enum": list(leaf.choices)}
    if isinstance(leaf, ListOf):
        return {"type": "array", "items": _value(leaf.item, member, definitions)}
    if isinstance(leaf, MappingOf):
        names = {"propertyNames": {"pattern": NAME_PATTERN}} if member.names else {}
        items = _value(leaf.item, member, definitions)
        return {"type": "object", **names, "additionalProperties": items}
    if isinstance(leaf, Nested):
        if leaf.cls.__name__ not in definitions:
            definitions[
                leaf.cls.__name__
            ] = {}  # stands in while a class that contains itself is read
            definitions[leaf.cls.__name__] = _object(leaf.cls, definitions)
        return {"$ref": f"#/$defs/{leaf.cls.__name__}"}
    return {"type": _TYPES[type(leaf)]}


def _number(kind: str, bounds: Bounds) -> dict[str, Any]:
    limits = {
        "minimum": bounds.least,
        "exclusiveMinimum": bounds.above,
        "maximum": bounds.most,
    }
    return {"type": kind, **{k: limit for k, limit in limits.items() if limit is not None}}
