"""The monitor: what published search code gets wrong is rebuilt, caught and named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from test_level import Patch, Patches, level, snapshot, supernet
from torch import Tensor, nn

from nasrestore.errors import RunStopped
from nasrestore.network.build import GraphNetwork
from nasrestore.network.relaxation import Softmax
from nasrestore.runtime.checkpoint import load_checkpoint
from nasrestore.runtime.runlog import RunLog, read_log
from nasrestore.search.health.batches import BatchWatch, fingerprint
from nasrestore.search.health.monitor import HealthMonitor
from nasrestore.search.health.ownership import check_chain
from nasrestore.search.health.silence import PATIENCE, Heard, judge_silence
from nasrestore.search.hyper import HyperParameters, HyperScalar
from nasrestore.search.hypergradient.problem import Gradient, LevelProblem, Parameters
from nasrestore.search.level import Level
from nasrestore.search.loop import Loop
from nasrestore.search.schedule import Plan, Replanner

SPLITS = {"weights": "train", "architecture": "validation"}


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Callable[..., Loop]]:
    """Makes a watched search of a chain, not yet run."""
    logs: list[RunLog] = []

    def make(network: nn.Module, levels: Sequence[Level], turns: int = 4) -> Loop:
        logs.append(RunLog(tmp_path / "log.jsonl"))
        monitor = HealthMonitor(SPLITS, event=logs[-1].event)
        loop = Loop(
            "search", network, levels, Replanner(Plan(turns), None), logs[-1], tmp_path / "points"
        )
        loop.monitor = monitor
        return loop

    yield make
    for log in logs:
        log.close()


def chain(network: GraphNetwork) -> list[Level]:
    return [
        level(network, "weights", first=True),
        level(network, "architecture", first=False, rate=0.1),
    ]


def hard(loop: Loop) -> dict[str, str]:
    """The check and the sentence of what stopped a search, as its log has it."""
    lines = read_log(loop.log.path)
    assert any(line.get("event") == "stopped" for line in lines)
    found = [line for line in lines if line.get("event") == "finding" and line["kind"] == "hard"]
    return {line["check"]: line["sentence"] for line in found}


def stopped(loop: Loop) -> RunStopped:
    loop.save()
    with pytest.raises(RunStopped) as caught:
        loop.run()
    assert caught.value.exit_status == 3
    assert "points/step-" in caught.value.message  # the checkpoint to go back to
    assert caught.value.hint
    return caught.value


# -- the four defects of RDMC's published code ------------------------------------------------


class WithoutSkips(nn.Module):
    """A supernet that is computed with its skips off; the skip parameters exist all the same."""

    def __init__(self, network: GraphNetwork) -> None:
        super().__init__()
        self.stages, self.architecture = network.stages, network.architecture
        self.graph, self._network = network.graph, [network]

    def forward(self, degraded: Tensor, progress: float = 0.0) -> Any:
        off = {c.name: torch.zeros(len(c.candidates)) for c in self.graph.choices}
        return self._network[0](degraded, off)

    def parameter_groups(self) -> Any:
        return self._network[0].parameter_groups()


def test_skips_that_are_off_get_no_gradient(search: Callable[..., Loop]) -> None:
    network = WithoutSkips(supernet())
    loop = search(network, chain(network), PATIENCE + 5)  # type: ignore[arg-type]
    message = stopped(loop).message
    assert f"turn {PATIENCE - 1}" in message
    assert "skip_up" in message and "received no gradient in any of the first 20 steps" in message
    assert list(hard(loop)) == ["gradient"]


def test_a_short_search_without_gradients_ends_without_a_decision(
    search: Callable[..., Loop],
) -> None:
    network = WithoutSkips(supernet())
    assert "first 3 steps" in stopped(search(network, chain(network), 3)).message  # type: ignore[arg-type]


def test_plain_tensors_are_in_no_checkpoint(search: Callable[..., Loop]) -> None:
    network = supernet()
    architecture = network.architecture
    assert architecture is not None
    levels = [level(network, "weights", first=True)]
    plain = {key: torch.zeros(len(p), requires_grad=True) for key, p in architecture.logits.items()}
    del architecture.logits
    architecture.logits = plain  # type: ignore[assignment]
    assert not any("architecture" in name for name in network.state_dict())
    loop = search(network, levels)
    message = stopped(loop).message
    assert "skip_up, skip_down" in message and "no checkpoint holds it" in message
    assert list(hard(loop)) == ["checkpoint"]


def test_tensors_that_nothing_can_be_learnt_by_are_no_parameters_either() -> None:
    network = supernet()
    assert network.architecture is not None
    for parameter in network.architecture.parameters():
        parameter.requires_grad_(False)
    (finding,) = check_chain(network, [level(network, "weights", first=True)])
    assert finding.kind == "hard" and finding.check == "checkpoint"


class FirstBatchAgain(Patches):
    """A sampler over the training positions that is made anew every step."""

    def __next__(self) -> Patch:
        return next(Patches(0))


class OtherSeed(FirstBatchAgain):
    def __next__(self) -> Patch:
        return next(Patches(77))


def test_a_validation_sampler_that_yields_the_training_positions(
    search: Callable[..., Loop],
) -> None:
    network = supernet()
    levels = chain(network)
    levels[1].batches = FirstBatchAgain(0)
    loop = search(network, levels)
    message = stopped(loop).message
    assert "level 'architecture' reads validation and level 'weights' reads train" in message
    assert list(hard(loop)) == ["leak"]


def test_a_validation_sampler_that_always_yields_its_first_batch(
    search: Callable[..., Loop],
) -> None:
    network = supernet()
    levels = chain(network)
    levels[1].batches = OtherSeed(0)
    loop = search(network, levels)
    assert "the very same batch again and again" in stopped(loop).message
    assert list(hard(loop)) == ["batches"]


class Backward:
    """An architecture step by ``backward()``, as the published code takes it."""

    def __call__(
        self, level: LevelProblem, below: Sequence[LevelProblem], parameters: Parameters
    ) -> Gradient:
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        terms = level.terms(None)
        terms.total.backward()
        return Gradient(terms, {name: parameters[name].grad.clone() for name in level.variables})  # type: ignore[union-attr]


def test_gradients_that_an_architecture_step_leaves_in_the_weights(
    search: Callable[..., Loop],
) -> None:
    network = supernet()
    levels = chain(network)
    levels[1].hypergradient = Backward()
    loop = search(network, levels)
    message = stopped(loop).message
    assert "a step of level 'architecture' left gradients on" in message
    assert "parameters of level 'weights'" in message
    assert list(hard(loop)) == ["crossing"]


# -- the defect of CLEARER's published deraining ----------------------------------------------


def test_test_images_that_the_architecture_is_chosen_by(search: Callable[..., Loop]) -> None:
    network = supernet()
    loop = search(network, chain(network))
    members = {"train": ["a", "b"], "validation": ["x", "y"], "test": ["x", "y"]}
    loop.monitor = HealthMonitor(SPLITS, members, event=loop.log.event)
    assert "validation and test share 2 scenes: x, y" in stopped(loop).message
    assert list(hard(loop)) == ["leak"]


# -- writes to what is not its own ------------------------------------------------------------


@pytest.mark.parametrize("through_data", [False, True])
def test_a_step_that_changes_another_level(search: Callable[..., Loop], through_data: bool) -> None:
    network = supernet()
    levels = chain(network)
    weight = next(iter(levels[0].variables.values()))
    descend = levels[1].optimizer.step

    def careless() -> None:
        descend()
        if through_data:
            weight.data.mul_(1.5)  # torch does not count it
        else:
            with torch.no_grad():
                weight.mul_(1.5)

    levels[1].optimizer.step = careless  # type: ignore[method-assign]
    loop = search(network, levels)
    assert "changed 1 parameters of level 'weights'" in stopped(loop).message
    assert list(hard(loop)) == ["crossing"]


def test_scalars_within_their_range_are_no_crossing(search: Callable[..., Loop]) -> None:
    network = supernet()
    levels = chain(network)
    scalars = HyperParameters([HyperScalar("gain", 0.5, least=0.0, most=1.0)])
    for one in levels:
        one.objective.hyper = scalars
    search(network, levels, 2).run()


# -- what a level's batches are ---------------------------------------------------------------


def test_a_fingerprint_is_of_the_images_not_of_their_order_or_turn() -> None:
    images = torch.randint(0, 256, (3, 3, 8, 8)) / 255
    rain = torch.randint(0, 256, (3, 3, 8, 8)) / 255
    mark = fingerprint(Patch(rain, images))
    turned = Patch(rain.flip(0, 2).rot90(1, (2, 3)), images.flip(0, 2).rot90(1, (2, 3)))
    assert fingerprint(turned) == mark is not None
    other = images.clone()
    other[0, 0, 0, 0] = (other[0, 0, 0, 0] + 1 / 255) % 1
    assert fingerprint(Patch(rain, other)) != mark
    flat = torch.full((2, 3, 8, 8), 0.5)
    assert fingerprint(Patch(flat, flat)) is None


def test_one_batch_a_pass_may_come_again() -> None:
    watch = BatchWatch(SPLITS)
    batch = next(Patches(0))
    assert not any(watch.look("weights", batch, 1) for _ in range(20))


def test_a_stream_that_gets_stuck_after_a_pass_is_found() -> None:
    watch, patches = BatchWatch(), Patches(0)
    first = [next(patches) for _ in range(12)]
    for batch in first:
        assert watch.look("weights", batch, 12) == []
    found = [watch.look("weights", first[0], 12) for _ in range(12 * 9)]
    assert any(finding.check == "batches" for some in found for finding in some)


def test_the_scenes_of_a_batch_belong_to_its_split() -> None:
    members = {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}
    watch = BatchWatch({**SPLITS, "both": "all"}, members)
    patches = Patches(0)

    def look(level: str, *scenes: str) -> list[str]:
        batch = next(patches)
        shown = type("Shown", (), {"degraded": batch.degraded, "clean": batch.clean})()
        shown.identities = scenes
        return [finding.sentence for finding in watch.look(level, shown, 5)]

    assert look("weights", "a", "b") == [] == look("both", "a", "c")
    (sentence,) = look("architecture", "c", "d")
    assert sentence == (
        "level 'architecture' reads validation, but its batch shows d, which belongs to test"
    )
    assert look("both", "d") and look("architecture", "a")


# -- who is silent ----------------------------------------------------------------------------


class Blind(Softmax):
    """A relaxation that is given logits and does not look at them."""

    def __call__(self, logits: Tensor, keep: int, progress: float) -> Tensor:
        return torch.full_like(logits, 1 / logits.numel())


class Detached(Softmax):
    def __call__(self, logits: Tensor, keep: int, progress: float) -> Tensor:
        return super().__call__(logits, keep, progress).detach()


@pytest.mark.parametrize("relaxation", [Blind(), Detached()], ids=["constant", "detached"])
def test_mixing_weights_that_do_not_depend_on_the_logits(relaxation: Softmax) -> None:
    """The logits are parameters all the same: it is the relaxation that is at fault."""
    network = supernet()
    assert network.architecture is not None
    network.architecture.relaxation = relaxation
    kept, finding = check_chain(network, chain(network))
    assert (kept.kind, kept.check) == ("ok", "checkpoint")
    assert (finding.kind, finding.check) == ("hard", "gradient")
    assert "do not depend on the logits" in finding.sentence and "skip_up" in finding.sentence
    assert "the relaxation must compute its weights from the logits" in finding.advice


def test_a_variable_that_was_heard_once_is_no_longer_silent() -> None:
    heard = Heard()
    names = ["architecture.a", "hyper.b", "stages.c"]
    heard.hear(names)
    heard.hear(["architecture.a", "stages.c"])
    for _ in range(PATIENCE):
        heard.hear(names)
    assert heard.unheard == {"architecture.a", "stages.c"}
    during = judge_silence("upper", heard, ended=False)
    assert [(f.kind, "architecture.a" in f.sentence) for f in during] == [("hard", True)]
    after = judge_silence("upper", heard, ended=True)
    assert [f.kind for f in after] == ["hard", "soft"]
    assert "never received a gradient, in none of 22 steps: stages.c" in after[1].sentence


def test_scalars_outside_the_network_count_like_the_architecture() -> None:
    heard = Heard(PATIENCE, {"hyper.gamma"})
    assert judge_silence("upper", heard, ended=False)[0].kind == "hard"
    assert judge_silence("upper", Heard(PATIENCE - 1, {"hyper.gamma"}), ended=False) == []


def test_a_level_that_never_began_is_told_at_the_end() -> None:
    assert judge_silence("upper", Heard(), ended=False) == []
    (finding,) = judge_silence("upper", Heard(), ended=True)
    assert finding.kind == "soft" and "took no step" in finding.sentence


# -- who owns what ----------------------------------------------------------------------------


def test_a_healthy_chain_is_said_to_be_so() -> None:
    network = supernet()
    assert [f.kind for f in check_chain(network, chain(network))] == ["ok"]


def test_logits_that_nobody_owns_are_frozen_and_that_is_said() -> None:
    network = supernet()
    kept, finding = check_chain(network, [level(network, "weights", first=True)])
    assert (kept.kind, kept.check) == ("ok", "checkpoint")
    assert finding.kind == "soft" and "they stay as they started" in finding.sentence
    assert finding.check == "ownership" and "variables: architecture" in finding.advice


def test_two_levels_do_not_own_the_same(search: Callable[..., Loop]) -> None:
    network = supernet()
    twice = [level(network, "weights", first=True), level(network, "weights", first=False)]
    twice[1].name = "again"
    assert check_chain(network, twice)[0].check == "ownership"


# -- a healthy search -------------------------------------------------------------------------


def test_watching_changes_nothing(search: Callable[..., Loop], tmp_path: Path) -> None:
    torch.manual_seed(3)
    watched = supernet()
    torch.manual_seed(3)
    alone = supernet()
    search(watched, chain(watched)).run()
    with RunLog(tmp_path / "other" / "log.jsonl") as log:
        Loop("search", alone, chain(alone), Replanner(Plan(4), None), log, tmp_path / "other").run()
    theirs = snapshot(alone)
    assert all(torch.equal(value, theirs[name]) for name, value in snapshot(watched).items())


def test_a_resumed_monitor_remembers(search: Callable[..., Loop]) -> None:
    network = supernet()
    whole = search(network, chain(network), 6)
    whole.run()
    first = load_checkpoint(whole.checkpoints)["monitor"]
    assert first["heard"]["architecture"] == {"steps": 6, "unheard": []}
    again = supernet()
    resumed = search(again, chain(again), 6)
    assert resumed.resume()
    assert resumed.monitor is not None
    assert resumed.monitor.state_dict() == whole.monitor.state_dict()  # type: ignore[union-attr]
