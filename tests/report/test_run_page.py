from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_spaces import ROOT, rdmc, space

from nasrestore.errors import NasRestoreError
from nasrestore.graph.genotype import load_genotype
from nasrestore.graph.ir import Choice
from nasrestore.report import plots
from nasrestore.report.images import comparison
from nasrestore.report.page import run_page
from nasrestore.report.results import decimal, duration, gain, margin
from nasrestore.runtime.runfolder import RunFolder, create_run, update_result
from nasrestore.runtime.runlog import RunLog

PAPER = load_genotype(ROOT / "recipes" / "genotypes" / "rdmc-paper.yaml").decisions
ENVIRONMENT = {
    "machine": {
        "cpu": "Some <CPU> & more",
        "architecture": "x86_64",
        "cores": 2,
        "threads": 1,
        "memory_gb": 8.3,
        "gpus": [],
    },
    "versions": {"python": "3.11.7", "torch": "2.15.0", "cuda": None},
    "os": "Linux 6.1",
}
PHASE = {"turns": 321, "seconds": 88.25, "precision": "fp32", "seed": 7, "environment": ENVIRONMENT}
EVALUATION = {
    "data": "photographs",
    "split": "test",
    "protocol": "prenet",
    "images": 12,
    "psnr_before": 24.3,
    "psnr_after": 29.5,
    "ssim_before": 0.81,
    "ssim_after": 0.9,
}


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots of few pixels, which are drawn faster."""
    monkeypatch.setattr(plots, "DPI", 30)


class Page(HTMLParser):
    """What a browser would see: tags, their attributes, and text."""

    EMPTY = frozenset({"meta", "img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def headings(self) -> list[str]:
        return [t for t in self.texts if t in HEADINGS]

    @property
    def text(self) -> str:
        return " ".join(self.texts)


HEADINGS = (
    "Results", "Images", "Architecture", "Search space", "Decisions", "Health", "Course", "Run",
    "Recipe",
)  # fmt: skip


def new_run(tmp_path: Path, recipe: str = "format: 1\nrecipe: rdmc-quick\n") -> RunFolder:
    run = create_run(tmp_path / "run", "rdmc", resume=False, overwrite=False)
    run.recipe.write_text(recipe, encoding="utf-8")
    return run


def whole_run(tmp_path: Path) -> RunFolder:
    """A run after search, training and evaluation."""
    run = new_run(
        tmp_path,
        "format: 1\nrecipe: rdmc-quick\ndescription: some <b>words</b>\nseed: 7\n"
        "search: {budget: 90s}\n",
    )
    update_result(
        run,
        search=PHASE,
        train={**PHASE, "seconds": 3720.0, "precision": "bf16"},
        derive={"rule": "top_k", "parameters": 249891, "gap": 0.25},
        evaluations=[EVALUATION, {**EVALUATION, "protocol": "rgb", "psnr_after": "inf"}],
        **{key: EVALUATION[key] for key in EVALUATION if key not in ("data", "split", "images")},
    )
    with RunLog(run.log) as log:
        for turn in range(5):
            log.step(turn, "weights", {"total": 1.0 / (turn + 1)}, phase="search")
        log.event("strengths", phase="search", turn=5, strengths={"skip_up": [0.2] * 10})
    pixels = np.full((40, 60, 3), 90, dtype=np.uint8)
    comparison(run.pictures / "before-after.png", [("a", [("rainy", pixels), ("clean", pixels)])])
    return run


def strengths() -> dict[str, dict[str, float]]:
    skip_up = rdmc().choice("skip_up")
    return {
        "skip_up": {name: 0.5 if name in PAPER["skip_up"] else 0.125 for name in skip_up.candidates}
    }


def test_a_whole_run(tmp_path: Path) -> None:
    page = Page(run_page(whole_run(tmp_path), rdmc(), PAPER, strengths()))
    assert page.headings() == [
        "Results", "Images", "Architecture", "Decisions", "Course", "Run", "Recipe"
    ]  # fmt: skip
    for text in ("rdmc-quick", "some <b>words</b>", "24.30", "29.50", "+5.20", "∞", "0.9000"):
        assert text in page.text, text
    for text in (
        "90s",
        "1 min 28 s",
        "1 h 2 min",
        "bf16",
        "249,891",
        "python 3.11.7, torch 2.15.0",
    ):
        assert text in page.text, text
    for text in ("Some <CPU> & more", "2 cores", "8.3 GB memory", "Linux 6.1"):
        assert text in page.text, text
    assert page.texts.count("encoder.3->decoder.4") == 1
    assert "0.375" in page.texts
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 3
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 1


def test_measures_beyond_psnr_and_ssim_are_shown_where_they_are(tmp_path: Path) -> None:
    plain = Page(run_page(whole_run(tmp_path / "plain")))
    assert not {"LPIPS before", "tLPIPS before", "warping error before"} & set(plain.texts)
    named = {"lpips": "LPIPS v0.1 (AlexNet)", "lpips_weights": {"alexnet": "12ab", "heads": "34cd"}}
    learned = {"lpips_before": 0.5, "lpips_after": 0.125, **named}
    steady = {"warping_before": 0.25, "warping_after": 0.125, "warping_clean": 0.0625}
    run = whole_run(tmp_path)
    update_result(run, evaluations=[EVALUATION, {**EVALUATION, **learned, **steady}])
    page = Page(run_page(run))
    assert "LPIPS before" in page.texts and "tLPIPS before" not in page.texts
    for text in ("0.5000", "0.1250", "\N{MINUS SIGN}0.3750", "0.250000"):
        assert text in page.texts, text
    assert "LPIPS v0.1 (AlexNet), weights alexnet 12ab, heads 34cd" in page.text
    assert "Warping error of the clean clips: 0.062500" in page.text
    update_result(run, evaluations=[{**EVALUATION, **learned, "tlpips_after": 0.0625}])
    page = Page(run_page(run))
    assert "tLPIPS before" in page.texts and "0.06250" in page.texts


def test_the_page_says_how_figures_were_measured(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    how = {"tile": 640, "overlap": 32, "precision": "fp32", "device": "cpu"}
    prenet = {**EVALUATION, "conditions": how}
    rgb = {**prenet, "protocol": "rgb"}
    update_result(run, evaluations=[prenet, rgb])
    said = "Measured in fp32 on cpu, images above 640x640 pixels in tiles (overlap 32)"
    assert f"{said}." in Page(run_page(run)).text
    rgb["conditions"] = {**how, "device": "cuda"}
    update_result(run, evaluations=[prenet, rgb, EVALUATION])
    page = Page(run_page(run)).text
    assert f"{said}: photographs, prenet." in page
    assert f"{said.replace('cpu', 'cuda')}: photographs, rgb." in page


def test_a_page_refers_to_nothing_outside(tmp_path: Path) -> None:
    html = run_page(whole_run(tmp_path), rdmc(), PAPER, strengths())
    page = Page(html)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "a", "use"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert name not in ("href", "xlink:href", "srcset", "action", "background", "poster")
            assert not name.startswith("on")
            if name == "src":
                assert str(value).startswith("data:image/png;base64,"), tag
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    assert "@import" not in html
    addresses = set(re.findall(r"https?://[^\s\"'<]+", html))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_a_new_run_has_its_recipe_and_its_space(tmp_path: Path) -> None:
    page = Page(run_page(new_run(tmp_path), rdmc()))
    assert page.headings() == ["Search space", "Recipe"]
    assert Page(run_page(new_run(tmp_path / "2"))).headings() == ["Recipe"]


def test_a_folder_with_nothing_has_a_page(tmp_path: Path) -> None:
    page = Page(run_page(RunFolder(tmp_path)))
    assert page.headings() == []
    assert tmp_path.name in page.text


def test_all_text_is_escaped(tmp_path: Path) -> None:
    odd = "<script>alert('&amp;')</script>"
    run = new_run(tmp_path, f'format: 1\nrecipe: "{odd}"\ndescription: "{odd}"\n')
    update_result(
        run,
        search={**PHASE, "precision": odd, "environment": {"machine": {odd: odd}, "os": odd}},
        derive={odd: odd},
        evaluations=[{**EVALUATION, "data": odd, "protocol": odd}],
        protocol=odd,
        psnr_after=1.0,
    )
    with RunLog(run.log) as log:
        log.step(0, odd, {odd: 1.0})
    run.pictures.mkdir()
    comparison(run.pictures / "a&b<c.png", [(odd, [(odd, np.zeros((8, 8, 3), np.uint8))])])
    page = Page(run_page(run, rdmc()))
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(odd) >= 8
    assert "a&b<c" in page.texts


def test_a_picture_that_is_no_png_is_left_out(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.pictures.mkdir()
    (run.pictures / "torn.png").write_bytes(b"")
    assert Page(run_page(run)).headings() == ["Recipe"]


def test_machines_that_differ_are_both_named(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    other: dict[str, Any] = {**ENVIRONMENT, "machine": {"gpus": ["A", "B"]}}
    update_result(run, search=PHASE, train={**PHASE, "environment": other})
    text = Page(run_page(run)).texts
    assert "machine (search)" in text and "machine (train)" in text
    assert "A, B" in text


def test_a_damaged_result_is_an_error_of_the_user(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.result.write_text("{")
    with pytest.raises(NasRestoreError, match="damaged"):
        run_page(run)


# -- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.005, "1.00"), (-2.5, "\N{MINUS SIGN}2.50"), ("inf", "∞"), ("-inf", "\N{MINUS SIGN}∞"),
     ("nan", "not a number"), (None, "\N{EN DASH}")],
)  # fmt: skip
def test_figures(value: object, text: str) -> None:
    assert decimal(value, 2) == text


def test_gains_have_a_sign() -> None:
    assert gain(20, 21.5, 2) == "+1.50"
    assert gain(21.5, 20, 2) == "\N{MINUS SIGN}1.50"
    assert gain(20, 20, 2) == "0.00"
    assert gain(20, "inf", 2) == "+∞"
    assert gain("inf", "inf", 2) == gain(None, 20, 2) == gain(20, None, 2) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.97, "60.0 s"), (200, "3 min 20 s"), (3720, "1 h 2 min"),
     (3599.7, "1 h 0 min"), (180_000, "50 h 0 min")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_margin_is_that_of_the_weakest_kept_over_the_strongest_dropped() -> None:
    links = Choice("l", "links", ("a", "b", "c"), keep=2)
    assert margin(links, ("a", "b"), {"a": 0.9, "b": 0.5, "c": 0.25}) == 0.25
    assert margin(links, ("a", "c"), {"a": 0.9, "b": 0.5, "c": 0.25}) == -0.25
    assert margin(links, ("a", "b"), {"a": 0.9, "b": 0.5}) is None
    operation = Choice("o", "operation", ("a", "none"))
    assert margin(operation, ("a",), {"a": 0.25, "none": 0.75}) is None
    all_kept = Choice("l", "links", ("a", "b"), keep=2)
    assert margin(all_kept, ("a", "b"), {"a": 0.5, "b": 0.5}) is None


def test_decisions_of_a_dropped_cell_are_not_told(tmp_path: Path) -> None:
    text = """
format: 1
space: cells
inputs: {rainy: {channels: 3}}
cells:
  wide: {nodes: {first: {op: {choice: [residual, dense]}}}}
  deep: {nodes: {only: {op: {choice: [dense, dilated]}}}}
nodes: {body: {cell: {choice: [wide, deep]}}}
outputs: {restored: body}
"""
    decisions = {"body": ("wide",), "wide/first": ("residual",), "deep/only": ("dilated",)}
    page = Page(run_page(new_run(tmp_path), space(text), decisions))
    assert "wide/first" in page.texts and "deep/only" not in page.texts
    assert "one of 4 architectures" in page.texts
    assert "body/deep; not decided for" in page.texts
