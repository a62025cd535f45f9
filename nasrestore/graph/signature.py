"""What a name in YAML promises about itself: parameters, channels, resolution, cost. Torch-free.

A signature is all that the compiler needs to check a space in full before torch is imported; the
constructors in ``ops`` are held against theirs by a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from nasrestore.registry import did_you_mean

Params = Mapping[str, Any]
ParameterType = Literal["int", "float", "bool", "str", "ints", "floats"]


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED: Any = _Required()


class SignatureError(ValueError):
    """A parameter or a shape that does not fit; the compiler adds the place in the file.

    Args:
        message: what was found and what was expected.
        parameter: the parameter at fault, where there is one.
    """

    def __init__(self, message: str, parameter: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.hint = hint


@dataclass(frozen=True)
class Parameter:
    """One parameter: its type, its default (``REQUIRED`` where there is none) and its range."""

    type: ParameterType
    default: Any = REQUIRED
    least: float | None = None
    most: float | None = None
    options: tuple[Any, ...] | None = None
    doc: str = ""

    def read(self, name: str, value: Any) -> Any:
        """The checked value; an int is taken for a float, a number for a list of one.

        Raises:
            SignatureError: the type, the range or the option is wrong.
        """
        if value is None and self.default is None:
            return None
        if self.type in ("ints", "floats"):
            items = value if isinstance(value, (list, tuple)) else [value]
            if not items:
                raise SignatureError(f"expected at least one number, got {value!r}", name)
            return tuple(self._scalar(name, item) for item in items)
        return self._scalar(name, value)

    def _scalar(self, name: str, value: Any) -> Any:
        kind = {"ints": "int", "floats": "float"}.get(self.type, self.type)
        accepted = {"int": int, "float": (int, float), "bool": bool, "str": str}[kind]
        is_flag = isinstance(value, bool) and kind != "bool"
        if is_flag or not isinstance(value, accepted):  # type: ignore[arg-type]
            raise SignatureError(f"expected {self.expected()}, got {value!r}", name)
        if self.options is not None and value not in self.options:
            hint = did_you_mean(value, map(str, self.options)) if isinstance(value, str) else None
            raise SignatureError(f"expected {self.expected()}, got {value!r}", name, hint)
        below = self.least is not None and value < self.least
        above = self.most is not None and value > self.most
        if below or above or value != value:
            raise SignatureError(f"expected {self.expected()}, got {value!r}", name)
        return float(value) if kind == "float" else value

    def expected(self) -> str:
        """``an integer >= 1``, for messages."""
        noun = {
            "int": "an integer",
            "float": "a number",
            "bool": "true or false",
            "str": "a string",
            "ints": "a list of integers",
            "floats": "a list of numbers",
        }[self.type]
        if self.options is not None:
            return "one of " + ", ".join(map(str, self.options))
        if self.least is not None and self.most is not None:
            return f"{noun} from {self.least:g} to {self.most:g}"
        if self.least is not None:
            return f"{noun} >= {self.least:g}"
        return noun if self.most is None else f"{noun} <= {self.most:g}"


@dataclass(frozen=True)
class Signature:
    """The parameters of anything that YAML names: a loss, an optimizer, a schedule."""

    doc: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

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
        return result


@dataclass(frozen=True)
class Layer:
    """One convolution of an operation, for the analytic cost.

    ``scale`` is the resolution of its output relative to the operation's input (1/2 after a stride
    of 2); ``pooled`` marks a convolution on a globally pooled feature, one pixel in size.
    """

    in_channels: int
    out_channels: int
    kernel: int
    groups: int = 1
    bias: bool = True
    norm: bool = False
    scale: Fraction = Fraction(1)
    pooled: bool = False

    @property
    def weights(self) -> int:
        return self.out_channels * (self.in_channels // self.groups) * self.kernel**2

    @property
    def parameters(self) -> int:
        """Weights, bias, and the batch normalisation's scale and shift."""
        return self.weights + self.out_channels * (int(self.bias) + 2 * int(self.norm))

    def macs(self, pixels: Fraction) -> Fraction:
        """Multiply-adds on an operation input of ``pixels`` pixels."""
        return Fraction(self.weights) * (1 if self.pooled else pixels * self.scale**2)


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
    """

    channels: Callable[[int, Params], int] = _same_channels
    scale: Callable[[Params], Fraction] = _same_scale
    layers: Callable[[int, Params], Sequence[Layer]] | None = None
    resolve: Callable[[Params, int], Params] = _index_free
    parameter_free: bool = False
    pointwise: bool = False
