"""A level's objective: named, weighed loss terms on a network's outputs, or on its variables."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nasrestore import registry
from nasrestore.errors import NasRestoreError
from nasrestore.plugin_errors import described
from nasrestore.search.hyper import PREFIX, HyperParameters
from nasrestore.search.scope import statistics


class Batch(Protocol):
    """What an objective reads: degraded and clean images, N C H W in [0, 1].

    Of clips, ``degraded`` is N T C H W, ``clean`` belongs to the frame in the middle, and there may be
    ``flow``, N T 2 H W, in pixels from that frame to each.
    """

    @property
    def degraded(self) -> Tensor: ...

    @property
    def clean(self) -> Tensor: ...


def network_inputs(
    network: nn.Module, batch: Batch, degraded: Tensor | None = None
) -> Tensor | Mapping[str, Tensor]:
    """What a network is called with on a batch: the images or clips, and their flow if it reads that.

    Args:
        degraded: in place of the batch's.

    Raises:
        ValueError: the network reads optical flow, and the batch has none.
    """
    images = batch.degraded if degraded is None else degraded
    name = getattr(network, "flow_input", None)
    if name is None:
        return images
    flow = getattr(batch, "flow", None)
    if flow is None:
        raise ValueError(f"the network reads optical flow ({name}), and the batch has none")
    return {str(network.clip_input): images, name: flow}


@dataclass(frozen=True)
class Term:
    """One loss in the sum.

    Attributes:
        weight: by which it is multiplied; the name of a hyper-parameter where that is learned.
        output: names what it reads of the network.
        variables: names of the parameters that it reads in place of an output.
    """

    loss: nn.Module
    weight: float | str = 1.0
    output: str = "restored"
    variables: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Terms:
    """The value of an objective: the weighed sum, and each unweighed term by name."""

    total: Tensor
    parts: Mapping[str, Tensor]


@dataclass(frozen=True)
class Augmentation:
    """Changes of a batch that have a strength, a number or the name of a hyper-parameter.

    Attributes:
        noise: standard deviation of Gaussian noise on the degraded image, in [0, 1].
        degradation: share by which the difference between degraded and clean image is enlarged; not
            of clips, of which one clean frame is known.
    """

    noise: float | str = 0.0
    degradation: float | str = 0.0

    def __call__(self, batch: Batch, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The degraded and the clean image; the clean one stays as it is."""
        degraded, clean = batch.degraded, batch.clean
        if self.degradation != 0:
            degraded = degraded + _strength(self.degradation, values) * (degraded - clean)
        if self.noise != 0:
            degraded = degraded + _strength(self.noise, values) * torch.randn_like(degraded)
        return degraded, clean


def _full(output: Tensor) -> Tensor:
    """At least float32, whatever the network ran in."""
    return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output


def _scalar(loss: nn.Module, value: Any) -> Tensor:
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.reshape(())
    found = "nothing" if value is None else f"a {type(value).__name__}"
    if isinstance(value, Tensor):
        found = f"a tensor of shape {tuple(value.shape)}"
    raise NasRestoreError(
        f"{described(registry.loss, loss)} gave {found}, expected a tensor of one element",
        hint="return one, such as a .mean() over the images",
    )


def _strength(given: float | str, values: Mapping[str, Tensor]) -> float | Tensor:
    return values[given] if isinstance(given, str) else given


class Objective:
    """The weighed sum of loss terms of a network on a batch.

    Args:
        network: called with (inputs, progress=...), gives named outputs N C H W; the inputs are N C H W,
            of clips N T C H W, or by name where it reads optical flow, too.
        terms: by name; terms of weight 0 are not computed.
        hyper: the scalars that weights and strengths may name.
        bf16: whether the network runs under bf16 autocast; losses always see float32.
    """

    def __init__(
        self,
        network: nn.Module,
        terms: Mapping[str, Term],
        *,
        hyper: HyperParameters | None = None,
        augmentation: Augmentation | None = None,
        bf16: bool = False,
    ) -> None:
        self.network = network
        self.terms = {name: term for name, term in terms.items() if term.weight != 0}
        if not self.terms:
            raise ValueError("an objective needs a term whose weight is not zero")
        self.hyper = HyperParameters() if hyper is None else hyper
        self.augmentation = Augmentation() if augmentation is None else augmentation
        self.bf16 = bf16

    def parameters(self) -> dict[str, Tensor]:
        """All that it may depend on by name: the network's parameters and the hyper-parameters."""
        return {**dict(self.network.named_parameters()), **self.hyper.named()}

    def _precision(self, device: torch.device) -> AbstractContextManager[Any]:
        return torch.autocast(device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def __call__(
        self,
        batch: Batch,
        progress: float,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Terms:
        """The terms on a batch.

        Args:
            progress: of the run, in [0, 1].
            parameters: to use in place of its own, by name. The pass is then a pure function of
                them, in full precision, which derivatives of derivatives need.

        Raises:
            NasRestoreError: a loss gave no tensor of one element.
        """
        values = self.hyper.values(parameters) if self.hyper.scalars else {}
        degraded, clean = self.augmentation(batch, values)
        outputs = self._outputs(network_inputs(self.network, batch, degraded), progress, parameters)
        if degraded.dim() == 5:  # losses compare with the frame in the middle
            degraded = degraded[:, degraded.shape[1] // 2]
        parts: dict[str, Tensor] = {}
        total: Tensor | None = None
        for name, term in self.terms.items():
            if term.variables is None:
                value = term.loss(_full(outputs[term.output]), clean, degraded)
            else:
                known = self.parameters() if parameters is None else parameters
                value = term.loss({key: known[key] for key in term.variables})
            parts[name] = _scalar(term.loss, value)
            weighed = _strength(term.weight, values) * parts[name]
            total = weighed if total is None else total + weighed
        assert total is not None
        return Terms(total, parts)

    def _outputs(
        self,
        inputs: Tensor | Mapping[str, Tensor],
        progress: float,
        parameters: Mapping[str, Tensor] | None,
    ) -> Mapping[str, Tensor]:
        arguments = {"progress": progress}
        first = inputs if isinstance(inputs, Tensor) else next(iter(inputs.values()))
        if parameters is None:
            with self._precision(first.device):
                return self.network(inputs, **arguments)  # type: ignore[no-any-return]
        own = {name: value for name, value in parameters.items() if not name.startswith(PREFIX)}
        with statistics(self.network, moving=False):
            return functional_call(self.network, own, (inputs,), arguments)  # type: ignore[no-any-return]
