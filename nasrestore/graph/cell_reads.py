"""What the inputs of a cell stand for, at each use of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nasrestore.graph.copies import reads_by_default, reads_named
from nasrestore.graph.scope import Scope
from nasrestore.graph.values import Problems
from nasrestore.registry import did_you_mean
from nasrestore.spec.space import NodeSpec
from nasrestore.spec.space_parts import CellParts

Reads = tuple[str, ...]
Bindings = dict[str, Reads]  # local names in the scope of the use, by input, in the cells' order

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def first_bindings(
    scope: Scope,
    spec: NodeSpec,
    cells: Mapping[str, CellParts],
    last: Sequence[str] | None,
    problems: Problems,
    *,
    lenient: bool,
) -> Bindings | None:
    """What each input of the cells is for the first copy; ``None`` after an error.

    Args:
        last: the last copy of the node before.
        lenient: whether what is given for an input that no cell has is left out in silence.
    """
    wanted: dict[str, None] = {}
    for cell in cells.values():
        if cell.inputs is None:
            return None
        wanted |= dict.fromkeys(cell.inputs)
    if not isinstance(spec.reads, dict):
        return _in_order(scope, spec, list(wanted), last, problems)
    at = spec.tree.at("reads")
    before = problems.found
    for key in spec.reads:
        if key not in wanted and not lenient:
            message = f"{named_cells(cells)} has no input {key!r}"
            problems.add(at.at(key), message, did_you_mean(key, wanted), key=True)
    missing = [name for name in wanted if name not in spec.reads]
    if missing:
        message = f"{named_cells(cells)} reads {', '.join(wanted)}: "
        message += f"nothing is given for {missing[0]!r}"
        problems.add(at, message, f"add {missing[0]}: NODE")
    found: Bindings = {}
    for key in wanted:  # not the file's order: it says what the next copies read
        if key in spec.reads:
            names = reads_named(spec.reads[key], at.at(key), scope.names, problems)
            if names is not None and not names:
                problems.add(at.at(key), "an empty list: name what is read")
            found[key] = names or ()
    return found if problems.found == before and all(found.values()) else None


def _in_order(
    scope: Scope,
    spec: NodeSpec,
    wanted: Sequence[str],
    last: Sequence[str] | None,
    problems: Problems,
) -> Bindings | None:
    at = spec.tree.at("reads")
    if spec.reads is None:
        names = reads_by_default(spec, last, scope.names, problems)
    else:
        assert not isinstance(spec.reads, dict)
        names = reads_named(spec.reads, at, scope.names, problems)
    if names is None or not wanted:
        return None
    if len(wanted) == 1 and names:
        return {wanted[0]: names}
    if len(names) == len(wanted):
        return {name: (read,) for name, read in zip(wanted, names, strict=True)}
    message = f"the cell reads {len(wanted)} inputs ({', '.join(wanted)}), given are {len(names)}"
    problems.add(at, message, f"reads: {{{wanted[0]}: NODE, ...}}")
    return None


def check_inputs(cell: CellParts, problems: Problems) -> None:
    """Names of inputs that nothing else has; the nodes of a cell read at least one."""
    at = cell.tree.at("inputs")
    if cell.inputs is not None and not cell.inputs:
        problems.add(at, "a cell reads at least one input", "inputs: [x]", key=True)
    for i, name in enumerate(cell.inputs or ()):
        if not NAME.fullmatch(name):
            problems.add(at.at(i), f"{name[:60]!r} is not a name", "letters, digits, underscores")
        elif name in cell.nodes or name in list(cell.inputs or ())[:i]:
            problems.add(at.at(i), f"{name!r} is the name of another input or node", "rename one")


def named_cells(cells: Mapping[str, CellParts]) -> str:
    """For messages."""
    names = list(cells)
    return f"cell {names[0]!r}" if len(names) == 1 else f"none of the cells {', '.join(names)}"
