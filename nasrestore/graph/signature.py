"""What a name in YAML promises about itself: parameters, channels, resolution, cost. Torch-free.

A signature is all that the compiler needs to check a space in full before torch is imported; the
constructors in ``ops`` are held against theirs by a test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from nasrestore.registry import did_you_mean, nearest

Params = Mapping[str, Any]
ParameterType = Literal["int", "float", "bool", "str", "ints", "floats"]


LONGEST = 64


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED: Any = _Required()


class SignatureError(ValueError):
    """A parameter or a shape that does not fit; the compiler adds the place in the file.

    Args:
        message: what was found and what was expected.
        parameter: the parameter at fault, where there is one; the place in the file is its.
        hint: what to do next.

    Attributes:
        item: the item at fault, where the parameter is a list.
    """

    def __init__(self, message: str, parameter: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.hint = hint
        self.item: int | None = None


@dataclass(frozen=True)
class Parameter:
    """One parameter: its type, its default (``REQUIRED`` where there is none) and its range.

    Attributes:
        least: the smallest number; of a list, this and the next three hold for each item.
        most: the largest number.
        above: a number that it must exceed.
        below: a number that it must stay under.
        odd: an integer that must be odd.
        options: the values that are taken.
        length: how many items a list has; ``None`` for any number up to ``LONGEST``.
    """

    type: ParameterType
    default: Any = REQUIRED
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    odd: bool = False
    options: tuple[Any, ...] | None = None
    length: int | None = None
    doc: str = ""

    @property
    def numeric(self) -> bool:
        """Whether it is a number or a list of numbers, so that it may be an expression."""
        return self.type in ("int", "float", "ints", "floats")

    def read(self, name: str, value: Any) -> Any:
        """The checked value; an int is taken for a float, a number for a list of one.

        Raises:
            SignatureError: the type, the range or the option is wrong.
        """
        if value is None and self.default is None:
            return None
        if self.type not in ("ints", "floats"):
            return self._scalar(name, value)
        items = value if isinstance(value, (list, tuple)) else [value]
        fits = 1 <= len(items) <= LONGEST if self.length is None else len(items) == self.length
        if not fits:
            raise SignatureError(f"expected {self.expected()}, got {len(items)} of them", name)
        return tuple(self._item(name, i, item) for i, item in enumerate(items))

    def _item(self, name: str, index: int, value: Any) -> Any:
        try:
            return self._scalar(name, value)
        except SignatureError as error:
            error.item = index
            raise

    def _scalar(self, name: str, value: Any) -> Any:
        kind = {"ints": "int", "floats": "float"}.get(self.type, self.type)
        accepted = {"int": int, "float": (int, float), "bool": bool, "str": str}[kind]
        is_flag = isinstance(value, bool) and kind != "bool"
        typed = isinstance(value, accepted) and not is_flag  # type: ignore[arg-type]
        known = self.options is None or value in self.options
        if not (typed and known and (kind in ("bool", "str") or self._admits(value))):
            names = [] if self.options is None else [str(option) for option in self.options]
            close = nearest(value, names) if isinstance(value, str) else None
            hint = None if close is None else f"did you mean {close!r}?"
            raise SignatureError(
                f"expected {self._expected_item()}, got {shown_value(value)}", name, hint
            )
        return float(value) if kind == "float" else value

    def _admits(self, number: float) -> bool:
        return (
            math.isfinite(number)
            and (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
            and (not self.odd or number % 2 == 1)
        )

    def expected(self) -> str:
        """``an integer >= 1`` or ``a list of 2 numbers``, for messages."""
        if self.type not in ("ints", "floats"):
            return self._expected_item()
        many = "integers" if self.type == "ints" else "numbers"
        return f"a list of {self.length or f'1 to {LONGEST}'} {many}"

    def _expected_item(self) -> str:
        if self.options is not None:
            return "one of " + ", ".join(map(str, self.options))
        whole = "an odd integer" if self.odd else "an integer"
        noun = {"bool": "true or false", "str": "a string", "int": whole, "ints": whole}.get(
            self.type, "a number"
        )
        if self.least is not None and self.most is not None:
            return f"{noun} from {self.least:,g} to {self.most:,g}"
        limits = ((">=", self.least), (">", self.above), ("<=", self.most), ("<", self.below))
        signs = [f"{sign} {limit:,g}" for sign, limit in limits if limit is not None]
        return f"{noun} {' and '.join(signs)}".rstrip()


def shown_value(value: Any) -> str:
    """A value for a message after "got": short, and in words where its text would not help."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True)
class Signature:
    """The parameters of anything that YAML names: a loss, an optimizer, a schedule.

    Args:
        agree: called with the parameters that were given, and with all of them; raises
            ``SignatureError`` where one does not go with another.
    """

    doc: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    agree: Callable[[Params, Params], None] | None = field(default=None, kw_only=True)

    def read(self, values: Params) -> dict[str, Any]:
        """All parameters, checked and with the defaults filled in.

        Raises:
            SignatureError: unknown, missing or wrong parameter; the first one found.
        """
        for name in values:
            if name not in self.parameters:
                raise SignatureError(
                    f"unknown parameter {name!r}", name, did_you_mean(name, self.parameters)
                )
        result = {}
        for name, parameter in self.parameters.items():
            if name in values:
                result[name] = parameter.read(name, values[name])
            elif parameter.default is REQUIRED:
                raise SignatureError(f"missing parameter {name!r}: {parameter.expected()}")
            else:
                result[name] = parameter.default
        if self.agree is not None:
            self.agree(values, result)
        return result


@dataclass(frozen=True)
class Layer:
    """One convolution of an operation, for the analytic cost.

    ``scale`` is the resolution of its output relative to the operation's input (1/2 after a stride
    of 2); ``pooled`` marks a convolution on a globally pooled feature, one pixel in size; ``times``
    says how many images pass it with the same weights.
    """

    in_channels: int
    out_channels: int
    kernel: int
    groups: int = 1
    bias: bool = True
    norm: bool = False
    scale: Fraction = Fraction(1)
    pooled: bool = False
    times: int = 1

    @property
    def weights(self) -> int:
        return self.out_channels * (self.in_channels // self.groups) * self.kernel**2

    @property
    def parameters(self) -> int:
        """Weights, bias, and the batch normalisation's scale and shift."""
        return self.weights + self.out_channels * (int(self.bias) + 2 * int(self.norm))

    def macs(self, pixels: Fraction) -> Fraction:
        """Multiply-adds on an operation input of ``pixels`` pixels."""
        return self.times * Fraction(self.weights) * (1 if self.pooled else pixels * self.scale**2)


def _same_channels(channels: int, params: Params) -> int:
    wanted = params.get("channels")
    return channels if wanted is None else int(wanted)


def _same_scale(params: Params) -> Fraction:
    return Fraction(1)


def _index_free(params: Params, index: int) -> Params:
    return params


@dataclass(frozen=True)
class OperationSignature(Signature):
    """An operation from one feature map to another.

    Args:
        channels: output channels from (input channels, parameters); raises ``SignatureError`` where
            the input does not fit. Default: the parameter ``channels``, or else the input's.
        scale: output resolution over input resolution. Default: 1.
        layers: its convolutions from (input channels, parameters), for the analytic cost; ``None``
            means not known, and limits then refuse it.
        resolve: completes the parameters with the number of the copy, from 1.
        parameter_free: true of pooling, resampling, identity and none.
        pointwise: a linear map of each pixel by itself, which commutes with resampling.
        clip: for an operation that reads all frames of a clip at once, N T C H W: the output's
            (frames, channels) from (frames, input channels, parameters), frames ``None`` where it
            puts out one image, N C H W; raises ``SignatureError`` where the clip does not fit.
            Its factory takes ``frames`` as well, and so do ``layers``, among the parameters. Default:
            an operation on images, through which the frames of a clip go one by one.
    """

    channels: Callable[[int, Params], int] = _same_channels
    scale: Callable[[Params], Fraction] = _same_scale
    layers: Callable[[int, Params], Sequence[Layer]] | None = None
    resolve: Callable[[Params, int], Params] = _index_free
    parameter_free: bool = False
    pointwise: bool = False
    clip: Callable[[int, int, Params], tuple[int | None, int]] | None = None


@dataclass(frozen=True)
class HypergradientSignature(Signature):
    """A hypergradient.

    Args:
        below: whether the levels below enter it. If not, a variable on which the level's own
            objective does not depend has no gradient.
        steps_through: whether gradients go through steps of the lower optimizer where its parameter
            ``optimizer`` is ``level``, which only some optimizers allow.
    """

    below: bool = True
    steps_through: bool = False


@dataclass(frozen=True)
class LossSignature(Signature):
    """A loss.

    Args:
        reads: ``output``: called with (output, clean, degraded), N C H W each; ``variables``:
            called with the tensors of a parameter group by name; ``architecture``: with those of the
            architecture alone, of all groups that decide or of one.
    """

    reads: Literal["output", "variables", "architecture"] = "output"


@dataclass(frozen=True)
class MetricSignature(Signature):
    """A protocol of measuring.

    Args:
        skip_ends: frames of a clip that it leaves out at either end.
    """

    skip_ends: int = 0
