"""One builder for the supernet and the derived network.

A choice becomes a mixture, a fixed node its operation. With mixing weights that are a decision's
zeros and ones, the supernet computes exactly what the network derived from that decision computes
with the same weights; parameters have the same names in both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

import torch
from torch import Tensor, nn

from nasrestore.graph.expand import signature_of
from nasrestore.graph.ir import Edge, Node, Operation, SearchGraph, Shape
from nasrestore.network.architecture import Architecture, MixingWeights, module_key
from nasrestore.network.frames import EachFrame
from nasrestore.network.mixture import Link, Operations
from nasrestore.network.recompute import Memory, recomputed, weighed
from nasrestore.network.relaxation import Relaxation, Softmax
from nasrestore.network.rewrite import activate_in_place

Factories = Mapping[str, Callable[..., nn.Module]]


class Parts:
    """The modules of a network, each made once: nodes with the same weights have the same."""

    def __init__(self, factories: Factories) -> None:
        self._factories = factories
        self._made: dict[tuple[str, str], nn.Module] = {}

    def operation(self, operation: Operation, shape: Shape, weights: str, role: str) -> nn.Module:
        """An operation on an input of a shape.

        Args:
            weights: name of the node or link that it belongs to.
            role: which of its operations it is.
        """
        key = (weights, role)
        if key not in self._made:
            self._made[key] = self._new(operation, shape)
        return self._made[key]

    def _new(self, operation: Operation, shape: Shape) -> nn.Module:
        make = self._factories[operation.kind]
        if signature_of(operation.kind).clip is not None:
            return make(shape.channels, frames=shape.frames, **operation.params)
        made = make(shape.channels, **operation.params)
        return made if shape.frames is None else EachFrame(made)


class NodeModule(nn.Module):
    """One node: its reads concatenated, ``between``, links joined, then its operation or mixture.

    Attributes:
        memory: with ``mixture``, candidate links are computed again in the backward pass.
    """

    def __init__(self, node: Node, edges: tuple[Edge, ...], parts: Parts) -> None:
        super().__init__()
        self.memory: Memory = "plain"
        self.node = node
        self.edges = edges
        self.between = (
            None
            if node.between is None
            else parts.operation(node.between, node.read, node.weights, "between")
        )
        self.operations = Operations(
            {
                op.label: parts.operation(op, node.input, node.weights, f"candidate {op.label}")
                for op in node.candidates
            }
        )
        self.links = nn.ModuleDict(
            {module_key(edge.name): self._link(edge, parts) for edge in edges}
        )
        self._places = [module_key(edge.name) for edge in edges]

    @staticmethod
    def _link(edge: Edge, parts: Parts) -> nn.Module:
        adapter = edge.adapter
        image = replace(edge.from_shape, frames=None)
        made = None
        if adapter is not None:
            made = parts.operation(adapter, image, f"{edge.weights} into", "adapter")
        link = Link(made, edge.factor)
        return link if edge.from_shape.frames is None else EachFrame(link)

    def forward(self, features: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
        """N C H W of this node from the features of the nodes before and all mixing weights.

        ``weights`` has an entry for each edge that is a candidate, and for this node where it is a
        choice.
        """
        x = self._joined(self._main(features), features, weights)
        choice = self.node.choice
        return self.operations(x, None if choice is None else weights[choice])  # type: ignore[no-any-return]

    def _main(self, features: Mapping[str, Tensor]) -> Tensor | None:
        """The main input before links join; ``None`` where links alone are read."""
        reads = [features[name] for name in self.node.reads]
        if not reads:
            return None
        x = reads[0] if len(reads) == 1 else torch.cat(reads, dim=-3)
        return x if self.between is None else self.between(x)  # type: ignore[no-any-return]

    def _joined(
        self, x: Tensor | None, features: Mapping[str, Tensor], weights: Mapping[str, Tensor]
    ) -> Tensor:
        appended = []
        for edge, place in zip(self.edges, self._places, strict=True):
            weight = None if edge.choice is None else weights.get(edge.name)
            feature = features[edge.source]
            if edge.join == "add":
                x = self._arriving(self.links[place], feature, weight, x)
            else:
                appended.append(self._arriving(self.links[place], feature, weight, None))
        assert x is not None
        return torch.cat([x, *appended], dim=-3) if appended else x

    def _arriving(
        self, link: nn.Module, feature: Tensor, weight: Tensor | None, onto: Tensor | None
    ) -> Tensor:
        """What a link brings, weighed where it is a candidate and added where it is to be."""
        if weight is not None and self.memory == "mixture":
            return recomputed(link, feature, weight, onto)
        arriving: Tensor = link(feature)
        if weight is None:
            return arriving if onto is None else onto + arriving
        return weighed(arriving, weight, onto)


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
        if not isinstance(inputs, Tensor):
            return dict(inputs)
        names = list(self.graph.inputs)
        frames = self.frames
        if len(names) == 1 and (inputs.dim() == 5) != (frames is not None):
            wanted = "N C H W" if frames is None else f"N {frames} C H W"
            raise ValueError(f"an input of {wanted} is expected, got {tuple(inputs.shape)}")
        if len(names) != 1:
            raise ValueError(f"the network has several inputs, give each by name: {names}")
        height, width = inputs.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(
                f"an input of {height}x{width} pixels: both sides must be multiples of "
                f"{self.multiple}"
            )
        return {names[0]: inputs}

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
    """
    network = GraphNetwork(graph, factories, relaxation or Softmax(), spread)
    if rewrite:
        activate_in_place(network, (StageNorm,))
    return network


def carried_state(
    supernet: SearchGraph, state: Mapping[str, Tensor], derived: GraphNetwork
) -> dict[str, Any]:
    """The part of a supernet's state dict that the derived network needs, fit to its shapes.

    Where a link that would have been concatenated was dropped, a convolution's weights lose the
    input channels that it brought.
    """
    from nasrestore.graph.derive import kept_input_channels

    result: dict[str, Any] = {}
    for name, wanted in derived.state_dict().items():
        value = state[name]
        if value.shape != wanted.shape:
            parts = name.split(".")
            node = next(n.name for n in derived.graph.nodes if module_key(n.name) == parts[3])
            channels = kept_input_channels(supernet, derived.graph, node)
            value = value[:, channels]
        if value.shape != wanted.shape:
            raise ValueError(
                f"{name}: {tuple(state[name].shape)} does not fit {tuple(wanted.shape)}"
            )
        result[name] = value.clone()
    return result
