"""Every error that a user can cause, as one small family.

``NasRestoreError`` carries the exit status that the command line ends with, so that nothing but
``cli`` needs to know about exit codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a file; ``line`` and ``column`` count from 1, as editors do."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class NasRestoreError(Exception):
    """What the user gave is wrong or cannot be met: one message, exit status 2, no traceback.

    Args:
        message: what was found and what was expected.
        hint: what to do next; shown on a line of its own.
    """

    exit_status = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  hint: {self.hint}"


class SpecError(NasRestoreError):
    """One thing wrong in a YAML file or an override, with its place.

    Args:
        location: where; ``None`` only where no file is involved.
        path: the dotted path of the value, such as ``search.levels[1].steps``.
        message: what was found and what was expected.
        hint: what to do next.
    """

    def __init__(
        self, location: Location | None, path: str, message: str, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.location = location
        self.path = path

    def __str__(self) -> str:
        parts = [str(part) for part in (self.location, self.path) if part]
        text = ": ".join([*parts, self.message])
        return text if self.hint is None else f"{text} ({self.hint})"


class SpecErrors(SpecError):
    """All the errors of a file at once, in the order of their places.

    ``errors`` holds them; as a ``SpecError`` it stands for the first.
    """

    def __init__(self, errors: Sequence[SpecError]) -> None:
        def place(error: SpecError) -> tuple[str, int, int]:
            at = error.location
            return ("", 0, 0) if at is None else (at.file, at.line, at.column)

        self.errors = tuple(sorted(errors, key=place))
        first = self.errors[0]
        super().__init__(first.location, first.path, first.message, first.hint)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def few(items: Iterable[object], most: int = 3, between: str = ", ") -> str:
    """The first of them, and how many more there are: ``a, b, c and 2 more``.

    Between items that are clauses of their own stands ``"; "``, and before the count as well.
    """
    listed = [str(item) for item in items]
    shown = between.join(listed[:most])
    if len(listed) <= most:
        return shown
    return f"{shown}{' ' if between == ', ' else between}and {len(listed) - most} more"


def raise_all(errors: Sequence[SpecError]) -> None:
    """Raises nothing, the one error, or all of them together."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SpecErrors(errors)


class RunStopped(NasRestoreError):
    """The run stopped itself: non-finite loss, a hard health finding, out of memory. Exit status 3."""

    exit_status = 3
