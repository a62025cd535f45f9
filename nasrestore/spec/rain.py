"""What can be said of synthetic rain, by the names that users know: its limits are here alone.

A recipe, the command line and the model of rain itself (:mod:`nasrestore.data.rain`) read this table.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

RainKind = Literal["additive", "auxiliary"]
RAIN_KINDS: tuple[RainKind, ...] = get_args(RainKind)


class Quantity(NamedTuple):
    """A number of rain, or a range of it.

    Attributes:
        field: what the model of rain calls it.
        least, most: its limits, which it may reach.
        doc: what it is, and in what unit.
    """

    field: str
    least: float
    most: float
    doc: str


QUANTITIES = {
    "density": Quantity("density", 0, 10, "streaks over a pixel on average"),
    "direction": Quantity("angle", -90, 90, "degrees from vertical, above 0 to the right"),
    "length": Quantity("length", 1, 1000, "of the nearest streaks, pixels"),
    "width": Quantity("width", 0.1, 50, "of the nearest streaks, pixels"),
    "intensity": Quantity("intensity", 0, 1, "brightness that the nearest streaks add, 0 to 1"),
    "blur": Quantity("blur", 0, 20, "of the rain, standard deviation in pixels"),
    "accumulation": Quantity("accumulation", 0, 1, "share of a veil in the picture, 0 to 1"),
}
