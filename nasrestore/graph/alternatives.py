"""Choices within cells that a choice between cells may drop: what matters, and how many networks there are."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

Enabled = Mapping[str, Mapping[str, Collection[str]]]


@dataclass(frozen=True)
class Alternatives:
    """What hangs on choices between cells.

    Attributes:
        free: the choices that matter whatever is decided.
        enabled: for each choice between cells and each of its cells, the choices directly inside,
            that matter where it is decided for; those further inside hang on choices that do.
    """

    free: Collection[str]
    enabled: Enabled

    def alive(self, decisions: Mapping[str, Sequence[str]]) -> set[str]:
        """The choices that matter under some decisions."""
        found: set[str] = set()
        waiting = list(self.free)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                within = self.enabled.get(name, {})
                waiting += [c for cell in decisions.get(name, ()) for c in within.get(cell, ())]
        return found

    def networks(self, sizes: Mapping[str, int]) -> int:
        """How many different decisions there are, where those without effect do not count.

        Choices between cells are gone through from the outside to the inside. What has to be known
        of those before are the choices that already matter, each until nothing can change that.

        Args:
            sizes: for each choice that is to be counted, the number of its decisions.
        """
        always = [name for name in self.free if name not in self.enabled]
        count = math.prod(sizes.get(name, 1) for name in always)
        ways = {frozenset(self.free) - frozenset(always): 1}
        order = self._outside_first()
        last = {
            choice: number
            for number, name in enumerate(order)
            for choice in set().union(*self.enabled[name].values()) - set(always)
        }
        for number, name in enumerate(order):
            settled = {c for c, i in last.items() if i == number and c not in self.enabled}
            following: dict[frozenset[str], int] = {}
            for alive, count_of in ways.items():
                for within in self.enabled[name].values() if name in alive else [()]:
                    now = alive.union(within) - {name, *always}
                    left = now - settled
                    done = math.prod(sizes.get(choice, 1) for choice in now & settled)
                    following[left] = following.get(left, 0) + count_of * done
            ways = following
        return count * sum(ways.values())

    def _outside_first(self) -> list[str]:
        """The choices between cells, each after all on which it hangs."""
        order: dict[str, None] = {}

        def visit(name: str) -> None:
            if name in order:
                return
            for outer, cells in self.enabled.items():
                if any(name in within for within in cells.values()):
                    visit(outer)
            order[name] = None

        for name in self.enabled:
            visit(name)
        return list(order)
