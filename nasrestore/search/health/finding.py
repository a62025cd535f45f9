"""What a look at a search found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["hard", "soft", "ok"]
KINDS: tuple[Kind, ...] = ("hard", "soft", "ok")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        kind: ``hard`` where nothing may be decided by such a search, ``soft`` where it is to be
            known, ``ok`` where all is well.
        check: short name of what was looked at, the same in every run.
        subject: which choice, level or split.
        sentence: what was found, in plain words; begins with a small letter.
        advice: what to do about it; empty where there is nothing to do. ``RUN`` stands for the folder.
        value: the figure behind it.
    """

    kind: Kind
    check: str
    subject: str
    sentence: str
    advice: str = ""
    value: float | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return dict(self.__dict__)


def finding_of(fields: dict[str, Any]) -> Finding:
    """The finding whose ``plain`` form is among the fields of a log line."""
    names = ("kind", "check", "subject", "sentence", "advice", "value")
    return Finding(**{name: fields[name] for name in names if name in fields})


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Hard ones first; each once, in the order in which they came."""
    return sorted(dict.fromkeys(findings), key=lambda finding: KINDS.index(finding.kind))


def of_kind(findings: Iterable[Finding], kind: Kind) -> list[Finding]:
    return [finding for finding in findings if finding.kind == kind]
