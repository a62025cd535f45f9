"""The synthetic rain of a recipe: a preset, and what its ``data.rain`` says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field

from nasrestore.data.auxiliary_rain import AuxiliaryRain
from nasrestore.data.rain import RainModel, rain_like
from nasrestore.spec.data import DataSpec, RainSpec, Span
from nasrestore.spec.rain import QUANTITIES
from nasrestore.spec.schema import read
from nasrestore.spec.tree import Tree


@dataclass(frozen=True)
class Rain:
    """The rain that falls on clean photographs and clean clips.

    Attributes:
        changes: what is not the preset's, by the names that users know.
        auxiliary: the second kind of streaks of TMICS's Eq. 1; None: the additive model.
        variants: rainy versions of each photograph or clip.
        recolour: whether versions that are trained on have other colours and brightness.
    """

    preset: str
    model: RainModel
    auxiliary: AuxiliaryRain | None
    variants: int
    recolour: bool
    changes: dict[str, Span] = field(default_factory=dict)

    @property
    def otherwise(self) -> tuple[str, ...]:
        """What is not the preset's in words, such as ``density 0.1``; nothing where all is."""
        said = [f"{name} {_said(span)}" for name, span in self.changes.items()]
        return (*said, *(["auxiliary"] if self.auxiliary else []))

    def called(self, what: str = "rain") -> str:
        """``medium rain``, or ``medium rain (density 0.1, direction -10 to 10)``."""
        more = f" ({', '.join(self.otherwise)})" if self.otherwise else ""
        return f"{self.preset} {what}{more}"


def rain_of(data: DataSpec) -> Rain:
    """The rain that a recipe asks for, the default where it says nothing of it."""
    at = data.tree
    spec = data.rain or read(Tree("mapping", {}, at.location, f"{at.path}.rain"), RainSpec)
    given = {name: getattr(spec, name) for name in QUANTITIES}
    changes = {name: span for name, span in given.items() if span is not None}
    auxiliary = AuxiliaryRain() if spec.model == "auxiliary" else None
    model = rain_like(spec.preset, **changes)
    return Rain(spec.preset, model, auxiliary, spec.variants, spec.recolour, changes)


def _said(span: Span) -> str:
    return " to ".join(f"{end:g}" for end in span) if isinstance(span, tuple) else f"{span:g}"
