"""One builder for the supernet and the derived network.

A choice becomes a mixture, a fixed node its operation. With mixing weights that are a decision's
zeros and ones, the supernet computes exactly what the network derived from that decision computes
with the same weights; parameters have the same names in both.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from torch import Tensor, nn

from nasrestore.graph.ir import SearchGraph, Shape
from nasrestore.network.architecture import Architecture, MixingWeights, module_key
from nasrestore.network.mixture import Operations
from nasrestore.network.node import Factories, NodeModule, Parts
from nasrestore.network.promise import check_plugins
from nasrestore.network.recompute import Memory
from nasrestore.network.relaxation import Relaxation, Softmax
from nasrestore.network.rewrite import activate_in_place
from nasrestore.network.weights import misfits, refuse_misfits


class StageNorm(nn.Module):
    """One batch normalisation a stage, where the stages share their convolutions."""

    def __init__(self, norm: nn.Module, stages: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(copy.deepcopy(norm) for _ in range(stages))
        self.stage = 0

    def forward(self, x: Tensor) -> Tensor:
        return self.norms[self.stage](x)  # type: ignore[no-any-return]


class Stage(nn.Module):
    """The nodes of one stage."""

    def __init__(self, graph: SearchGraph, factories: Factories) -> None:
        super().__init__()
        self.graph = graph
        parts = Parts(factories)
        self.nodes = nn.ModuleDict(
            {
                module_key(node.name): NodeModule(node, tuple(graph.into(node.name)), parts)
                for node in graph.nodes
            }
        )

    def forward(
        self, sources: Mapping[str, Tensor], weights: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """All named outputs from the inputs and the state."""
        features = dict(sources)
        for name, module in zip(
            (n.name for n in self.graph.nodes), self.nodes.values(), strict=True
        ):
            features[name] = module(features, weights)
        return {
            o.name: features[o.node] if o.add is None else features[o.node] + features[o.add]
            for o in self.graph.outputs
        }


class GraphNetwork(nn.Module):
    """A network that computes a search graph: a supernet, or a derived network.

    Attributes:
        graph: what it computes.
        memory: what a search keeps of mixtures for their gradients, from most memory and least time
            to the contrary: ``plain`` all; ``operation`` each candidate's result; ``mixture`` the
            input alone. The rest is computed again; values stay the same bit for bit.
        architecture: the logits, ``None`` in a derived network.
        multiple: height and width of an input must be multiples of this.
        channels: of the clip, or of the (first) image.
        frames: length of the clip that it reads; ``None`` for a network on images.
        clip_input: name of the clip, or of the (first) image.
        flow_input: name of the input that is the clip's optical flow, N T 2 H W in pixels from the
            centre frame to each; ``None`` where it reads none.
    """

    def __init__(
        self, graph: SearchGraph, factories: Factories, relaxation: Relaxation, spread: float
    ) -> None:
        super().__init__()
        self._memory: Memory = "plain"
        self.graph = graph
        self.multiple = graph.multiple
        self.frames = graph.frames
        self.clip_input = graph.clip or next(iter(graph.inputs))
        self.flow_input = next(iter(graph.flows), None)
        self.channels = graph.inputs[self.clip_input].channels
        recursion = graph.recursion
        own = recursion is not None and recursion.weights == "own"
        self.stages = nn.ModuleList(
            Stage(graph, factories) for _ in range(graph.stages if own else 1)
        )
        if recursion is not None and recursion.norm == "per_stage" and not own:
            _norm_per_stage(self.stages[0], recursion.stages)
        self._stage_norms = [m for m in self.modules() if isinstance(m, StageNorm)]
        self.architecture = (
            Architecture(graph.choices, relaxation, spread) if graph.choices else None
        )

    def forward(
        self,
        inputs: Tensor | Mapping[str, Tensor],
        weights: MixingWeights | None = None,
        progress: float = 0.0,
    ) -> dict[str, Tensor]:
        """The named outputs of the last stage.

        Args:
            inputs: N C H W in [0, 1], of a clip N T C H W, or one for each named input; H and W
                multiples of ``multiple``.
            weights: mixing weights by choice, in place of the architecture's own.
            progress: of the search, in [0, 1], for relaxations that change with it.

        Returns:
            For each output N C H W, not clamped.

        Raises:
            ValueError: an input is missing, or not of the shape that is read.
        """
        sources = self._sources(inputs)
        if weights is None and self.architecture is not None:
            weights = self.architecture.mixing_weights(progress)
        by_name = self._by_name(weights or {})
        recursion = self.graph.recursion
        if recursion is None:
            return self.stages[0](sources, by_name)  # type: ignore[no-any-return]
        state = sources[recursion.start]
        outputs: dict[str, Tensor] = {}
        for stage in range(recursion.stages):
            for norm in self._stage_norms:
                norm.stage = stage
            module = self.stages[stage if len(self.stages) > 1 else 0]
            outputs = module({**sources, recursion.state: state}, by_name)
            state = outputs[recursion.state]
        return outputs

    def _sources(self, inputs: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        if isinstance(inputs, Tensor):
            if len(self.graph.inputs) != 1:
                raise ValueError(f"the network reads {self._reads}: give each by name")
            inputs = {self.clip_input: inputs}
        for name, shape in self.graph.inputs.items():
            if name not in inputs:
                raise ValueError(f"{name!r} is missing: the network reads {self._reads}")
            given = inputs[name].shape
            if given[1:-2] != _planes(shape):
                raise ValueError(f"{name!r}: {_axes(shape)} is expected, got {tuple(given)}")
            if given[-2] % self.multiple or given[-1] % self.multiple:
                raise ValueError(
                    f"{name!r}: {given[-2]}x{given[-1]} pixels, where both sides must be multiples "
                    f"of {self.multiple}"
                )
        return dict(inputs)

    @property
    def _reads(self) -> str:
        """All inputs, for messages."""
        flows = self.graph.flows
        return " and ".join(
            f"{name!r}, {_axes(shape)}"
            + (f" (the optical flow of {flows[name]!r})" if name in flows else "")
            for name, shape in self.graph.inputs.items()
        )

    def _by_name(self, weights: MixingWeights) -> dict[str, Tensor]:
        """Vectors for choices of operations, scalars for candidate links."""
        found: dict[str, Tensor] = {}
        shares: dict[tuple[str, str], Tensor] = {}
        for choice in self.graph.choices:
            vector = weights.get(choice.name)
            if vector is None:  # links that are measured by what they carry are all there
                continue
            if choice.kind == "operation":
                found[choice.name] = vector
                continue
            for candidate, share in zip(choice.candidates, vector.unbind(), strict=True):
                shares[choice.name, candidate] = share
        for edge in self.graph.edges:
            if (edge.choice, edge.candidate) in shares:
                found[edge.name] = shares[edge.choice, edge.candidate]  # type: ignore[index]
        return found

    # -- memory ------------------------------------------------------------------------------

    @property
    def memory(self) -> Memory:
        return self._memory

    @memory.setter
    def memory(self, setting: Memory) -> None:
        if setting not in get_args(Memory):
            raise ValueError(f"memory {setting!r}: expected one of {get_args(Memory)}")
        self._memory = setting
        for module in self.modules():
            if isinstance(module, (Operations, NodeModule)):
                module.memory = setting

    @property
    def memory_settings(self) -> tuple[Memory, ...]:
        """The settings that differ in this network, each of which needs less than the one before."""
        kinds = {choice.kind for choice in self.graph.choices if not choice.measured_by}
        if not kinds:
            return ("plain",)
        return ("plain", "operation", "mixture") if "operation" in kinds else ("plain", "mixture")

    # -- parameters --------------------------------------------------------------------------

    def parameter_groups(self) -> dict[str, dict[str, nn.Parameter]]:
        """Parameters by the group that a level can own: ``weights``, ``architecture`` and the space's."""
        groups: dict[str, dict[str, nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            groups.setdefault(self._group_of(name), {})[name] = parameter
        return groups

    def _group_of(self, name: str) -> str:
        parts = name.split(".")
        if parts[0] == "architecture":
            assert self.architecture is not None
            return self.architecture.groups().get(parts[2], "architecture")
        module = self.stages[0].nodes[parts[3]]  # type: ignore[union-attr,index]
        assert isinstance(module, NodeModule)
        if parts[4] != "links":
            return module.node.group
        return next(e.group for e in module.edges if module_key(e.name) == parts[5])

    def decisions_weights(self, decisions: Mapping[str, tuple[str, ...]]) -> dict[str, Tensor]:
        """Mixing weights that are a decision's zeros and ones, on the network's device."""
        from nasrestore.network.architecture import decision_weights

        device = next(self.parameters()).device
        found = decision_weights(self.graph.choices, decisions)
        return {name: weights.to(device) for name, weights in found.items()}


def _planes(shape: Shape) -> tuple[int, ...]:
    """The axes between the batch and the height: frames, of a clip, and channels."""
    return (shape.channels,) if shape.frames is None else (shape.frames, shape.channels)


def _axes(shape: Shape) -> str:
    """``N 3 H W``, for messages."""
    return f"N {' '.join(map(str, _planes(shape)))} H W"


def _norm_per_stage(module: nn.Module, stages: int) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, StageNorm(child, stages))
        elif not isinstance(child, StageNorm):  # met before, where weights are shared
            _norm_per_stage(child, stages)


def build(
    graph: SearchGraph,
    factories: Factories,
    *,
    relaxation: Relaxation | None = None,
    spread: float = 0.0,
    rewrite: bool = True,
) -> GraphNetwork:
    """The network of a graph: a supernet where it has choices, a plain network where it has none.

    Args:
        factories: from the name of an operation to what makes it.
        relaxation: from logits to mixing weights; default softmax.
        spread: standard deviation of the first logits.
        rewrite: let activations work in place where that is safe; ``False`` gives the plain form,
            which computes the same.

    Raises:
        NasRestoreError: an operation of a plugin contradicts its signature.
    """
    network = GraphNetwork(graph, factories, relaxation or Softmax(), spread)
    check_plugins(network)
    if rewrite:
        activate_in_place(network, (StageNorm,))
    return network


def carried_state(
    supernet: SearchGraph, state: Mapping[str, Tensor], derived: GraphNetwork, source: Path
) -> dict[str, Any]:
    """The part of a supernet's state dict that the derived network needs, fit to its shapes.

    Where a link that would have been concatenated was dropped, a convolution's weights lose the
    input channels that it brought.

    Args:
        source: the checkpoint that the state dict is from.

    Raises:
        MisfitError: it is of another supernet.
    """
    wanted = derived.state_dict()
    result: dict[str, Any] = {}
    for name, value in state.items():
        if name not in wanted:
            continue
        if value.shape != wanted[name].shape:
            value = _kept_channels(supernet, derived, name, value)
        result[name] = value.clone()
    refuse_misfits(misfits(wanted, result), source)
    return result


def _kept_channels(
    supernet: SearchGraph, derived: GraphNetwork, name: str, value: Tensor
) -> Tensor:
    """A convolution's weights without the input channels that the derived network lacks."""
    from nasrestore.graph.derive import kept_input_channels

    key = name.split(".")[3]
    node = next(n.name for n in derived.graph.nodes if module_key(n.name) == key)
    channels = kept_input_channels(supernet, derived.graph, node)
    fits = value.dim() > 1 and max(channels, default=0) < value.shape[1]
    return value[:, channels] if fits else value
