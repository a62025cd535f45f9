"""Training that starts from the weights of another run's network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from made_runs import small_run

import nasrestore as nr
from nasrestore.api.phases import Options
from nasrestore.api.run import open_recipe
from nasrestore.api.train import train_genotype
from nasrestore.api.weights import finished_network
from nasrestore.errors import NasRestoreError, RunStopped
from nasrestore.network.weights import MisfitError
from nasrestore.runtime.runfolder import read_result
from nasrestore.search.loop import Silent
from nasrestore.spec.overrides import python_overrides

STILL = {"train.levels[0].optimizer.rate": 1e-30}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("place"))


def tuned(start: Path | str, out: Path, **settings: object) -> Path:
    recipe = Path(start) / "recipe.yaml"
    values = python_overrides({**STILL, **settings})
    train_genotype(recipe, None, values, options=Options(Silent()), weights=str(start), out=out)
    return out


def parameters(run: Path) -> dict[str, torch.Tensor]:
    network, _ = finished_network(open_recipe(run), lambda text: None)
    return dict(network.named_parameters())


def test_it_goes_on_from_the_weights_and_the_genotype_of_the_run(
    finished: Path, tmp_path: Path
) -> None:
    out = tuned(finished, tmp_path / "tuned")
    first, second = parameters(finished), parameters(out)
    assert first.keys() == second.keys() and first
    for name, parameter in first.items():  # the steps were too small to change anything
        torch.testing.assert_close(second[name], parameter, rtol=0, atol=0)
    told = read_result(nr.evaluate(out).run)["train"]["from"]
    assert told.startswith(f"{finished.name} (") and told.endswith(", trained)")


def test_a_run_may_start_from_another(finished: Path, tmp_path: Path) -> None:
    out = tuned(finished, tmp_path / "tuned")
    result = nr.train(out, weights=str(finished), overwrite=True)
    assert result.summary["from"].startswith(finished.name)


def test_test_images_that_the_weights_have_seen_are_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(RunStopped, match=r"have been trained on \d+ of the test images") as caught:
        tuned(finished, tmp_path / "tuned", seed=4)  # another seed deals other images to the test
    assert caught.value.exit_status == 3 and not (tmp_path / "tuned").exists()
    out = tuned(finished, tmp_path / "tuned", seed=4, **{"data.overlap": "accepted"})
    assert {row["overlap"] for row in nr.evaluate(out).summaries} == {"accepted"}
    with pytest.raises(
        RunStopped, match="have been trained on"
    ):  # what the first had seen stays seen
        tuned(out, tmp_path / "again", **{"seed": 5, "data.overlap": "refused"})


def test_starting_again_asks_for_the_weights_that_it_began_with(
    finished: Path, tmp_path: Path
) -> None:
    out = tuned(finished, tmp_path / "tuned")
    with pytest.raises(NasRestoreError, match="was trained on the weights of run") as caught:
        nr.train(out, overwrite=True)
    assert "--from" in (caught.value.hint or "")
    assert nr.train(out, weights="fresh", overwrite=True).summary["from"] == "fresh"


def test_weights_of_another_network_are_refused_before_images_are_read(
    finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(MisfitError, match=r"there and 6x3x3x3 here; and \d+ more") as caught:
        tuned(
            finished, tmp_path / "tuned", **{"space.width": 6, "data.clean": str(tmp_path / "none")}
        )
    assert caught.value.exit_status == 2 and "--genotype" in (caught.value.hint or "")
    assert not (tmp_path / "tuned").exists()


def test_a_run_without_weights_is_refused(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "untrained"
    nr.search(finished / "recipe.yaml", {"search.steps": 1}, out=out)
    with pytest.raises(NasRestoreError, match="has no derived network yet"):
        tuned(out, tmp_path / "tuned")
