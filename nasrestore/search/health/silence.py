"""Which variables ever received a gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nasrestore.errors import few
from nasrestore.search.health.finding import Finding
from nasrestore.search.health.ownership import ARCHITECTURE
from nasrestore.search.hyper import PREFIX

PATIENCE = 20  # steps of a level in which a variable may be silent at first


@dataclass
class Heard:
    """What one level's variables received so far.

    Attributes:
        steps: how many the level took.
        unheard: the variables whose gradient was zero, or missing, in all of them.
    """

    steps: int = 0
    unheard: set[str] = field(default_factory=set)

    def hear(self, silent: Iterable[str], constant: Iterable[str] = ()) -> None:
        """One more step, in which these variables were silent.

        Args:
            constant: variables that nobody expects a gradient for.
        """
        if self.steps == 0:
            self.unheard = set(silent).difference(constant)
        elif self.unheard:
            self.unheard.intersection_update(silent)
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "unheard": sorted(self.unheard)}


def heard_of(state: Mapping[str, Any]) -> Heard:
    """From what ``state_dict`` gave."""
    return Heard(int(state["steps"]), set(state["unheard"]))


def judge_silence(level: str, heard: Heard, *, ended: bool) -> list[Finding]:
    """What there is to say of the variables that received no gradient.

    Args:
        ended: whether the search is over; until then variables have ``PATIENCE`` steps.
    """
    if heard.steps == 0:
        return [_never_began(level)] if ended else []
    if not ended and heard.steps < PATIENCE:
        return []
    decisive = sorted(n for n in heard.unheard if n.startswith((ARCHITECTURE, PREFIX)))
    others = sorted(heard.unheard.difference(decisive))
    found = []
    if decisive:
        found.append(_silent(level, decisive, heard.steps))
    if others and ended:
        found.append(
            Finding(
                "soft",
                "gradient",
                level,
                f"{len(others)} parameters of level {level!r} never received a gradient, in none of "
                f"{heard.steps:,} steps: {few(others)}",
                "if the search was long, nothing that the objective reads depends on them: remove "
                "them from the space, or read them",
                float(len(others)),
            )
        )
    if not heard.unheard and ended:
        sentence = f"every variable of level {level!r} received a gradient"
        found.append(Finding("ok", "gradient", level, sentence))
    return found


def _silent(level: str, names: list[str], steps: int) -> Finding:
    return Finding(
        "hard",
        "gradient",
        level,
        f"{few(names)} received no gradient in any of the first {steps} steps of level {level!r}: "
        "what it decides would be what it started with",
        "the network that is computed must contain the candidates, and the level's objective must "
        "read an output that they lead to",
        float(len(names)),
    )


def _never_began(level: str) -> Finding:
    return Finding(
        "soft",
        "gradient",
        level,
        f"level {level!r} took no step: its variables are what they started with",
        "run longer, or let the level start earlier (start:)",
    )
