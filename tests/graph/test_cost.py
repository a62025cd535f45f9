"""The analytic cost: the RDMC paper's figures, and laws that any space keeps."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

import pytest
from graph_spaces import CELL, CONCATENATED, CONDITIONAL, compiled, rdmc

from nasrestore import registry
from nasrestore.errors import NasRestoreError
from nasrestore.graph.compile import compile_space
from nasrestore.graph.cost import Cost, CostModel, graph_cost, operation_cost
from nasrestore.graph.derive import derive
from nasrestore.graph.genotype import Genotype, fit, load_genotype, random_genotype
from nasrestore.graph.ir import Operation, Recursion, SearchGraph, Shape
from nasrestore.graph.signature import Layer, OperationSignature
from nasrestore.spec.load import load_recipe, overrides_of
from nasrestore.spec.shipped import find

PLAIN = (
    "space.nodes.encoder.op=conv_bn_relu",
    "space.nodes.encoder.with={channels: $width * 3}",
    "space.links.skip_up.keep=0",
    "space.links.skip_down.keep=0",
)
NO_LINKS = PLAIN[2:]
CONCAT = ("space.links.skip_up.join=concat", "space.links.skip_down.join=concat")


def _cost(*overrides: str) -> Cost:
    """Of the architecture that the RDMC paper found."""
    graph = rdmc(*overrides)
    genotype = load_genotype(find("rdmc-paper", "genotype"))
    return graph_cost(derive(graph, fit(genotype, graph)[0]))


# -- RDMC: facts, Table III to V -------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "parameters"),
    [
        ((), 249_891),
        (NO_LINKS, 240_483),
        (PLAIN, 295_779),
        (CONCAT, 332_835),
        (("space.recursion.weights=own",), 3 * 249_891),
    ],
    ids=["rdmc", "unet with mfe", "plain unet", "concatenated links", "own weights"],
)
def test_parameters_of_the_paper(overrides: tuple[str, ...], parameters: int) -> None:
    assert _cost(*overrides).parameters == parameters


def test_multiply_adds_of_the_paper() -> None:
    assert round(float(_cost().macs) / 1e6, 1) == 3036.9


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_stages_share_their_weights_and_multiply_the_work(stages: int) -> None:
    cost = _cost(f"space.stages={stages}")
    assert cost.parameters == 249_891
    assert cost.macs == stages * _cost("space.stages=1").macs


@pytest.mark.parametrize(
    ("overrides", "total"),
    [
        (("space.stages=1",), 1021.6),
        (("space.stages=2",), 2043.3),
        ((), 3064.9),
        (("space.stages=4",), 4086.6),
        (NO_LINKS, 3044.3),
        (PLAIN, 3269.9),
    ],
)
def test_convolutions_with_what_fvcore_adds_give_its_total(
    overrides: tuple[str, ...], total: float
) -> None:
    """fvcore counts batch normalisation with 2 per value, and bilinear upsampling with 4."""
    graph = rdmc(*overrides)
    genotype = load_genotype(find("rdmc-paper", "genotype"))
    derived = derive(graph, fit(genotype, graph)[0])
    pixels = Fraction(128 * 128)
    extra = Fraction(0)
    for node in derived.nodes:
        if node.name != "head":
            extra += 2 * node.output.channels * pixels * node.output.scale**2
        if node.between is not None and node.between.kind == "bilinear_2":
            extra += 4 * node.main.channels * pixels * node.main.scale**2
    for edge in derived.edges:
        if edge.direction == "up":
            assert edge.adapter is not None
            extra += 4 * edge.channels * pixels * derived.node(edge.target).main.scale ** 2
    found = graph_cost(derived).macs + extra * derived.stages
    assert float(found) / 1e6 == pytest.approx(total, abs=0.06)


def test_a_normalisation_for_each_stage_adds_its_scale_and_shift() -> None:
    normalised = sum(rdmc().node(f"encoder.{i}").output.channels for i in range(1, 6)) + 6 * 48
    cost = _cost("space.recursion.norm=per_stage")
    assert cost.parameters == 249_891 + 2 * 2 * normalised
    assert cost.macs == _cost().macs


def test_own_weights_have_own_normalisation_already() -> None:
    own = _cost("space.recursion.weights=own")
    assert _cost("space.recursion.weights=own", "space.recursion.norm=per_stage") == own


def test_multiply_adds_grow_with_the_area() -> None:
    genotype = load_genotype(find("rdmc-paper", "genotype"))
    derived = derive(rdmc(), genotype)
    assert graph_cost(derived, (256, 64)).macs == graph_cost(derived, (128, 128)).macs
    assert graph_cost(derived, (256, 256)).macs == 4 * graph_cost(derived, (128, 128)).macs


# -- single operations -----------------------------------------------------------------------


def test_a_convolution_by_hand() -> None:
    conv = Operation("conv_bn_relu", {"channels": 8, "kernel": 3, "dilation": 1, "groups": 2}, "c")
    cost = operation_cost(conv, Shape(4, Fraction(1, 2)), (16, 16))
    assert cost == Cost(8 * 2 * 9 + 8 + 16, Fraction(8 * 2 * 9 * 64))


def test_a_strided_and_a_pooled_convolution_by_hand() -> None:
    strided = Operation("conv_stride_2", {"channels": 8, "kernel": 3}, "c")
    assert operation_cost(strided, Shape(4, Fraction(1)), (16, 16)).macs == 8 * 4 * 9 * 64
    attention = Operation("channel_attention", {"kernel": 1}, "c")
    assert operation_cost(attention, Shape(4, Fraction(1)), (16, 16)).macs == 2 * 16 * 256 + 16


def test_own_weights_and_own_norms_by_hand() -> None:
    conv = Operation("conv_bn_relu", {"channels": 2, "kernel": 1, "dilation": 1, "groups": 1}, "c")
    one = operation_cost(conv, Shape(3, Fraction(1)), (1, 1))
    assert one == Cost(2 * 3 + 2 + 4, Fraction(6))
    shared, own = (Recursion(3, "s", "x", weights) for weights in ("shared", "own"))
    per_stage = Recursion(3, "s", "x", norm="per_stage")
    assert operation_cost(conv, Shape(3, Fraction(1)), (1, 1), shared) == Cost(12, Fraction(18))
    assert operation_cost(conv, Shape(3, Fraction(1)), (1, 1), own) == Cost(36, Fraction(18))
    assert operation_cost(conv, Shape(3, Fraction(1)), (1, 1), per_stage) == Cost(
        12 + 2 * 4, Fraction(18)
    )


def test_costs_add_up_and_keep_within_limits() -> None:
    cost = Cost(3, Fraction(5)) + Cost(1, Fraction(1, 2))
    assert cost == Cost(4, Fraction(11, 2)) and cost - Cost(4, Fraction(11, 2)) == Cost()
    assert cost.within(4, 6) and cost.within(None, None)
    assert not cost.within(3, None) and not cost.within(None, 5)


@pytest.fixture
def uncounted() -> Iterator[str]:
    name = "test_uncounted_cost"
    registry.operation.declare(name, OperationSignature("somebody else's"))
    yield name
    del registry.operation._entries[name]


def test_an_operation_that_does_not_tell_its_cost(uncounted: str) -> None:
    graph = compiled(f"nodes:\n  a: {{op: {uncounted}}}\noutputs: {{o: a}}")
    with pytest.raises(NasRestoreError, match=f"cost of operation '{uncounted}' is not known"):
        graph_cost(graph)


# -- the model of all architectures ----------------------------------------------------------


def _spaces() -> dict[str, SearchGraph]:
    return {
        "links": rdmc(),
        "concatenated links": compile_space(load_recipe("rdmc", overrides_of(CONCAT)).space),
        "cell": compiled(CELL % 3),
        "operations and concatenated links": compiled(CONCATENATED),
        "conditional nodes": compiled(CONDITIONAL),
    }


def _sum(model: CostModel, genotype: Genotype) -> Cost:
    shares = (
        model.share(name, candidate)
        for name, candidates in genotype.decisions.items()
        for candidate in candidates
    )
    return sum(shares, model.base)


@pytest.mark.parametrize(("name", "graph"), _spaces().items(), ids=_spaces())
def test_base_and_shares_are_a_bound_exact_where_additive(name: str, graph: SearchGraph) -> None:
    model = CostModel(graph, (32, 48))
    assert model.additive == (name in ("links", "concatenated links", "cell"))
    generator = random.Random(0)
    for _ in range(100):
        genotype = random_genotype(graph, generator)
        cost, bound = model.cost(genotype.decisions), _sum(model, genotype)
        if model.additive:
            assert cost == bound
        assert cost.parameters >= bound.parameters and cost.macs >= bound.macs
        assert bound.parameters >= model.least().parameters and bound.macs >= model.least().macs


def test_the_least_cost_is_reached_where_additive() -> None:
    model = CostModel(compiled(CELL % 3))
    cheapest = model.cost({f"cell.{i}": ("identity",) for i in (1, 2, 3)})
    assert model.least() == cheapest == Cost(8 * 3 * 9 + 8, Fraction(8 * 3 * 9 * 128 * 128))


def test_estimates_price_what_may_not_be_there() -> None:
    graph = compiled(CONDITIONAL)
    model = CostModel(graph)
    choice = graph.choice("side.2")
    assert model.share("side.2", "residual") == Cost()
    assert model.estimate(choice, "residual").parameters == 3 * (8 * 8 * 9 + 8 + 16)


def test_a_cost_that_does_not_grow_evenly_with_its_input_is_still_bounded() -> None:
    """The cost of a plugin's operation may jump; the bound then takes its smallest step."""

    def layers(channels: int, params: object) -> list[Layer]:
        return [Layer(channels, 4, 1, bias=False)] * (1 if channels < 8 else 5)

    name = "test_jumping"
    signature = OperationSignature("jumps", channels=lambda c, p: 4, layers=layers)
    registry.operation.declare(name, signature)
    try:
        graph = compiled(
            f"nodes:\n  a: {{repeat: 3, op: conv, with: {{channels: 3}}}}\n  b: {{op: {name}}}\n"
            "links: {l: {from: [a.1, a.2], to: b, join: concat, keep: 1}, "
            "m: {from: rainy, to: b, join: concat, keep: 1}}\noutputs: {o: b}"
        )
        model = CostModel(graph)
        generator = random.Random(1)
        for _ in range(10):
            genotype = random_genotype(graph, generator)
            assert model.cost(genotype.decisions).parameters >= _sum(model, genotype).parameters
        assert not model.additive
    finally:
        del registry.operation._entries[name]
