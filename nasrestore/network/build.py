"""One builder for the supernet and the derived network.

A choice becomes a mixture, a fixed node its operation. With mixing weights that are a decision's
zeros and ones, the supernet computes exactly what the network derived from that decision computes
with the same weights; parameters have the same names in both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, get_args

import torch
from torch import Tensor, nn

from nasrestore.graph.ir import Edge, Node, Operation, SearchGraph
from nasrestore.network.architecture import Architecture, MixingWeights, module_key
from nasrestore.network.mixture import Link, Operations
from nasrestore.network.recompute import Memory, recomputed, weighed
from nasrestore.network.relaxation import Relaxation, Softmax
from nasrestore.network.rewrite import activate_in_place

Factories = Mapping[str, Callable[..., nn.Module]]


def make_operation(operation: Operation, in_channels: int, factories: Factories) -> nn.Module:
    return factories[operation.kind](in_channels, **operation.params)


class NodeModule(nn.Module):
    """One node: its reads concatenated, ``between``, links joined, then its operation or mixture.

    Attributes:
        memory: with ``mixture``, candidate links are computed again in the backward pass.
    """

    def __init__(self, node: Node, edges: tuple[Edge, ...], factories: Factories) -> None:
        super().__init__()
        self.memory: Memory = "plain"
        self.node = node
        self.edges = edges
        self.between = (
            None
            if node.between is None
            else make_operation(node.between, node.read.channels, factories)
        )
        self.operations = Operations(
            {op.label: make_operation(op, node.input.channels, factories) for op in node.candidates}
        )
        self.links = nn.ModuleDict(
            {module_key(edge.name): self._link(edge, factories) for edge in edges}
        )
        self._places = [module_key(edge.name) for edge in edges]

    @staticmethod
    def _link(edge: Edge, factories: Factories) -> Link:
        adapter = edge.adapter
        channels = edge.from_shape.channels
        made = None if adapter is None else make_operation(adapter, channels, factories)
        return Link(made, edge.factor)

    def forward(self, features: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
        """N C H W of this node from the features of the nodes before and all mixing weights.

        ``weights`` has an entry for each edge that is a candidate, and for this node where it is a
        choice.
        """
        reads = [features[name] for name in self.node.reads]
        x = reads[0] if len(reads) == 1 else torch.cat(reads, dim=1)
        if self.between is not None:
            x = self.between(x)
        x = self._joined(x, features, weights)
        choice = self.node.choice
        return self.operations(x, None if choice is None else weights[choice])  # type: ignore[no-any-return]

    def _joined(
        self, x: Tensor, features: Mapping[str, Tensor], weights: Mapping[str, Tensor]
    ) -> Tensor:
        appended = []
        for edge, place in zip(self.edges, self._places, strict=True):
            weight = None if edge.choice is None else weights[edge.name]
            onto = x if edge.join == "add" else None
            arriving = self._arriving(self.links[place], features[edge.source], weight, onto)
            if onto is None:
                appended.append(arriving)
            else:
                x = arriving
        return torch.cat([x, *appended], dim=1) if appended else x

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
        self.nodes = nn.ModuleDict(
            {
                module_key(node.name): NodeModule(node, tuple(graph.into(node.name)), factories)
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
            o.name: features[o.node] if o.add is None else features[o.node] + sources[o.add]
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
        channels: of the (first) input.
    """

    def __init__(
        self, graph: SearchGraph, factories: Factories, relaxation: Relaxation, spread: float
    ) -> None:
        super().__init__()
        self._memory: Memory = "plain"
        self.graph = graph
        self.multiple = graph.multiple
        self.channels = next(iter(graph.inputs.values())).channels
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
            inputs: N C H W in [0, 1], or one for each named input; H and W multiples of
                ``multiple``.
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
        for choice in self.graph.choices:
            vector = weights[choice.name]
            if choice.kind == "operation":
                found[choice.name] = vector
            else:
                found.update(zip(choice.candidates, vector.unbind(), strict=True))
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
        kinds = {choice.kind for choice in self.graph.choices}
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
            return "architecture"
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
        else:
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
