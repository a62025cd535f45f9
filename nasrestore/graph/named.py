"""Names with parameters of their own, checked against the signatures of the catalog. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nasrestore.graph.catalog  # noqa: F401  declares the built-in names
from nasrestore.errors import NasRestoreError, raise_all
from nasrestore.graph import values
from nasrestore.graph.signature import Signature, SignatureError
from nasrestore.graph.values import NO_CONSTANTS, Problems
from nasrestore.registry import Registry
from nasrestore.spec.recipe import NamedSpec
from nasrestore.spec.source import Tree


def named(
    names: Registry, spec: NamedSpec, problems: Problems | None = None
) -> dict[str, Any] | None:
    """The checked parameters of anything named with parameters; ``None`` after an error.

    Raises:
        SpecError: only where ``problems`` is left out.
    """
    collected = problems or Problems()
    at = spec.tree.at("name") if spec.tree.kind == "mapping" else spec.tree
    found = parameters(names, spec.name, at, spec.params, collected)
    if problems is None:
        raise_all(collected.errors)
    return found


def parameters(
    names: Registry,
    name: str,
    at: Tree,
    params: Mapping[str, Tree],
    problems: Problems,
    *,
    key: bool = False,
) -> dict[str, Any] | None:
    """The checked parameters of ``name``; ``None`` after an error.

    Args:
        at: where the name stands; at its key, if ``key``.
    """
    if not known(names, name, at, problems, key=key):
        return None
    signature = names.signature(name)
    assert isinstance(signature, Signature)
    owner = f"{names.kind} {name!r}"
    plain = values.parameters(owner, signature.parameters, params, NO_CONSTANTS, problems)
    if plain is None:
        return None
    try:
        return signature.read(plain)
    except SignatureError as error:
        given = None if error.parameter is None else params.get(error.parameter)
        if given is not None:
            problems.add(given, f"{owner}: {error}", error.hint)
        else:
            problems.add(at, f"{owner}: {error}", error.hint, key=key)
        return None


def known(names: Registry, name: str, at: Tree, problems: Problems, *, key: bool = False) -> bool:
    """Whether the registry knows a name; adds a problem if not."""
    try:
        names.entry(name)
    except NasRestoreError as error:
        problems.add(at, error.message, error.hint, key=key)
        return False
    return True
