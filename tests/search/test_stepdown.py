"""Memory that runs out in a step: the next setting takes it again, as if nothing had been."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_level import level
from test_recomputed_levels import Patches
from torch import nn

from nasrestore.errors import RunStopped
from nasrestore.graph.compile import compile_space
from nasrestore.network.build import build
from nasrestore.registry import operation
from nasrestore.runtime.memory import is_out_of_memory
from nasrestore.runtime.runlog import RunLog, read_log
from nasrestore.search.hypergradient.unrolled import Unrolled
from nasrestore.search.loop import Loop, Silent
from nasrestore.search.schedule import Plan, Replanner
from nasrestore.search.stepdown import StepDown
from nasrestore.spec.space import parse_space

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "network"))
from test_law import CHAIN

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has a total of 1"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    MemoryError(),
]


class Told(Silent):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Loop]]:
    logs = []

    def made(name: str, memory: str = "plain", turns: int = 3) -> Loop:
        torch.manual_seed(3)
        network = build(compile_space(parse_space(CHAIN)), operation.factories(), spread=0.5)
        network.double()  # else Adam makes steps of the rounding of gradients that are zero
        network.memory = memory  # type: ignore[assignment]
        levels = [
            level(network, "weights", first=True),
            level(network, "architecture", first=False, rate=0.1),
        ]
        for seed, one in enumerate(levels):
            one.batches = Patches(seed)
        levels[1].hypergradient = Unrolled(steps=2)
        log = RunLog(tmp_path / name / "log.jsonl")
        logs.append(log)
        folder = tmp_path / name / "checkpoints"
        return Loop("search", network, levels, Replanner(Plan(turns), None), log, folder, Told())

    yield made
    for log in logs:
        log.close()


def starve(network: nn.Module, after: int, fits: str, error: BaseException) -> list[str]:
    """Lets every pass from the one number ``after`` on fail at its end, unless ``fits`` is set."""
    forward, passes = network.forward, []

    def failing(*inputs: Any, **more: Any) -> Any:
        passes.append(str(network.memory))
        result = forward(*inputs, **more)  # statistics have moved by now
        torch.rand(7)
        if len(passes) > after and network.memory != fits:
            raise type(error)(*error.args)  # a new one, which holds no frames
        return result

    network.forward = failing  # type: ignore[method-assign]
    return passes


def losses(loop: Loop) -> list[Any]:
    lines = read_log(loop.checkpoints.parent / "log.jsonl")
    return [(r["step"], r["level"], r["terms"]) for r in lines if "event" not in r]


@pytest.mark.parametrize(
    ("after", "error"),
    [(0, ERRORS[0]), (0, ERRORS[1]), (0, ERRORS[2]), (2, ERRORS[0]), (4, ERRORS[0])],
    ids=str,
)
def test_a_step_is_taken_again_from_the_same_state(
    make: Callable[..., Loop], after: int, error: BaseException
) -> None:
    """A turn has one pass of the weights and three of the architecture: two unrolled and its own."""
    whole, part = make("whole", turns=2), make("part", turns=2)
    starve(whole.network, 0, str(whole.network.memory), error)
    starve(part.network, after, "mixture", error)
    kept: list[dict[str, Any]] = []
    part.keep = kept.append
    whole.run()
    part.run()
    assert part.network.memory == "mixture"
    assert kept == [{"search.memory": "operation"}, {"search.memory": "mixture"}]
    ours, theirs = losses(part), losses(whole)
    assert [line[:2] for line in ours] == [line[:2] for line in theirs]
    for (_, _, one), (_, _, other) in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-9)
    for one, other in zip(part.levels, whole.levels, strict=True):
        places = [each.batches.state_dict()["generator"] for each in (one, other)]
        assert torch.equal(*places)
    state = whole.network.state_dict()
    for name, value in part.network.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=1e-6, atol=1e-8)
        if "num_batches" in name:
            assert torch.equal(value, state[name])


def test_it_is_said_and_logged(make: Callable[..., Loop]) -> None:
    loop = make("one", turns=1)
    starve(loop.network, 0, "mixture", ERRORS[0])
    loop.run()
    assert isinstance(loop.observer, Told)
    assert loop.observer.messages == [
        "search: memory: plain does not fit (CUDA out of memory. Tried to allocate 2 GiB); "
        "going on with memory: operation",
        "search: memory: operation does not fit (CUDA out of memory. Tried to allocate 2 GiB); "
        "going on with memory: mixture",
    ]
    events = [r for r in read_log(loop.checkpoints.parent / "log.jsonl") if "event" in r]
    assert [r["setting"] for r in events if r["event"] == "memory"] == ["operation", "mixture"]


def test_after_the_last_setting_the_run_stops_with_what_to_do(make: Callable[..., Loop]) -> None:
    loop = make("one")
    loop.save()
    before = {name: value.clone() for name, value in loop.network.state_dict().items()}
    random = torch.get_rng_state()
    starve(loop.network, 0, "less", ERRORS[1])
    with pytest.raises(RunStopped) as caught:
        loop.run()
    assert caught.value.exit_status == 3
    assert "memory: mixture is the last setting" in caught.value.message
    assert "step-00000000.pt" in caught.value.message
    assert "data.patch" in str(caught.value.hint)
    after = loop.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), random)


def test_memory_that_runs_out_while_the_optimizer_moves_stops_the_run(
    make: Callable[..., Loop],
) -> None:
    """What it has moved cannot be put back but by the checkpoint."""
    loop = make("one")

    def failing() -> None:
        raise ERRORS[0]

    loop.levels[0].optimizer.step = failing  # type: ignore[method-assign]
    with pytest.raises(RunStopped, match=r"search turn 0: out of memory: CUDA out of memory"):
        loop.run()
    assert loop.network.memory == "plain"


def test_other_errors_pass(make: Callable[..., Loop]) -> None:
    loop = make("one")
    starve(loop.network, 0, "mixture", RuntimeError("the sizes do not match"))
    with pytest.raises(RuntimeError, match="the sizes do not match"):
        loop.run()
    assert loop.network.memory == "plain"
    assert not is_out_of_memory(ValueError("out of memory"))


def test_nothing_of_a_failed_try_is_alive_in_the_next() -> None:
    network = build(compile_space(parse_space(CHAIN)), operation.factories())
    alive: list[Any] = []

    class Big:
        def __del__(self) -> None:
            alive.clear()

    def compute() -> str:
        if network.memory == "plain":
            big = Big()
            alive.append(id(big))
            raise MemoryError
        assert not alive
        return str(network.memory)

    def told(*words: str) -> None:
        assert not alive

    assert StepDown(network, told)(compute, lambda: None) == "operation"


@pytest.mark.parametrize(("space", "expected"), [("plain", None), ("links", "mixture")])
def test_a_setting_that_changes_nothing_is_passed_over(space: str, expected: str | None) -> None:
    class Network(nn.Module):
        memory = "plain"
        memory_settings = ("plain",) if space == "plain" else ("plain", "mixture")

    down = StepDown(Network(), lambda *words: None)
    assert down.following() == expected
    assert StepDown(nn.Identity(), lambda *words: None).following() is None
