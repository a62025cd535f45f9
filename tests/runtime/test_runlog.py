from __future__ import annotations

import json
import math
import os
import resource
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrestore.errors import NasRestoreError
from nasrestore.runtime.runlog import RunLog, json_safe, json_text, read_log


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def refuse_constant(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def steps(path: Path) -> list[int]:
    return [line["step"] for line in read_log(path) if "event" not in line]


def events(path: Path) -> list[str]:
    return [line["event"] for line in read_log(path) if "event" in line]


def test_lines_are_strict_json_with_time_and_elapsed(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "run" / "log.jsonl"
    with RunLog(path, clock=clock) as log:
        clock.now += 2.5
        log.step(7, "weights", {"loss": 0.25, "gap": math.nan, "psnr": math.inf}, rate=-math.inf)
        log.event("derived", choices=4, where=Path("genotype.yaml"), step=7)
        # What was logged is in the file at once.
        lines = path.read_text().splitlines()
    head, step, event = [json.loads(line, parse_constant=refuse_constant) for line in lines]
    assert head["format"] == 1
    assert head["event"] == "log"
    assert step["terms"] == {"loss": 0.25, "gap": "nan", "psnr": "inf"}
    assert (step["step"], step["level"], step["rate"], step["elapsed"]) == (
        7,
        "weights",
        "-inf",
        2.5,
    )
    assert (event["event"], event["choices"], event["where"]) == ("derived", 4, "genotype.yaml")
    assert datetime.fromisoformat(step["time"]).utcoffset() == timedelta(0)
    read = read_log(path)
    assert math.isnan(read[1]["terms"]["gap"])
    assert read[1]["terms"]["psnr"] == math.inf


def test_names_that_each_line_has_are_refused(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log:
        with pytest.raises(ValueError, match="a log line has elapsed already"):
            log.step(1, "weights", {}, elapsed=3)
        with pytest.raises(ValueError, match="time"):
            log.event("x", time=3)
        with pytest.raises(ValueError, match="object"):
            log.event("x", thing=object())
    assert events(tmp_path / "log.jsonl") == ["log"]


def test_resume_drops_later_steps_and_what_happened_in_them(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    clock = Clock()
    with RunLog(path, clock=clock) as log:
        for number in range(1, 6):
            clock.now += 1
            log.step(number, "weights", {"loss": 1.0 / number, "gap": math.inf})
            log.step(number, "alpha", {"loss": 1.0})
            if number == 4:
                log.event("planned")
                log.event("unsolved", step=4)
            log.event("strengths", turn=number + 1)  # steps done, counted from 0
    clock = Clock(5.0)
    with RunLog(path, clock=clock) as log:
        assert log.elapsed == 5
        log.truncate_after(3)
        assert steps(path) == [1, 1, 2, 2, 3, 3]
        assert events(path) == ["log", *["strengths"] * 3, "planned"]
        # The event of second 4 is still there, so time goes on from it.
        assert log.elapsed == 4
        clock.now += 1
        log.step(4, "weights", {"loss": 0.2})
    assert steps(path) == [1, 1, 2, 2, 3, 3, 4]
    last = read_log(path)[-1]
    assert last["elapsed"] == 5
    assert os.listdir(tmp_path) == ["log.jsonl"]


def test_a_phase_drops_no_steps_of_another(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with RunLog(path) as log:
        for phase in ("search", "train"):
            for number in range(4):
                log.step(number, "weights", {"loss": 1.0}, phase=phase)
        log.truncate_after(0, phase="train")
    assert [(line["phase"], line["step"]) for line in read_log(path)[1:]] == [
        *(("search", number) for number in range(4)),
        ("train", 0),
    ]


def test_truncating_changes_no_line_that_stays(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with RunLog(path) as log:
        log.step(1, "weights", {"loss": 0.1, "nan": math.nan}, note="größer", rate=1e-5)
        log.event("something", deep={"list": [1, 2.5, None, True]})
        before = path.read_bytes()
        log.step(2, "weights", {"loss": 0.1})
        log.truncate_after(1)
    assert path.read_bytes() == before


@pytest.mark.parametrize("lost", [1, 5, 20])
def test_a_torn_last_line_is_dropped(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "log.jsonl"
    with RunLog(path) as log:
        log.step(1, "weights", {"loss": 1.0})
        log.step(2, "weights", {"loss": 1.0})
    path.write_bytes(path.read_bytes()[:-lost])
    assert steps(path) == [1]
    with RunLog(path) as log:
        log.step(3, "weights", {"loss": 1.0})
    assert steps(path) == [1, 3]


def test_a_torn_first_line_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"format": 1, "ti')
    RunLog(path).close()
    (head,) = read_log(path)
    assert head["format"] == 1


@pytest.mark.parametrize(
    "line", ["not json", "[1, 2]", '{"step": 3}', '{"terms": {"a": null}}', "", "\ufffd" * 90]
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "log.jsonl"
    RunLog(path).close()
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n" + '{"event": "after"}\n')
    with pytest.raises(NasRestoreError, match=r"log\.jsonl:2: expected a line of a log"):
        read_log(path)


def test_another_format_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with pytest.raises(NasRestoreError, match="cannot read"):
        read_log(path)
    path.write_text('{"format": 9, "event": "log"}\n')
    with pytest.raises(NasRestoreError, match="format 9"):
        RunLog(path)


def test_a_full_disk_keeps_the_lines_before(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with RunLog(path) as log:
        log.step(1, "weights", {"loss": 1.0})
        whole = path.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, hard))
        try:
            with pytest.raises(NasRestoreError, match=r"cannot write .*log\.jsonl"):
                log.step(2, "weights", {"loss": 1.0})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == whole
        log.step(3, "weights", {"loss": 1.0})
    assert steps(path) == [1, 3]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        """A disk that takes five bytes at a time."""

        def __init__(self, file: object) -> None:
            self._file = file

        def write(self, data: memoryview) -> int:
            return self._file.write(data[:5])  # type: ignore[attr-defined, no-any-return]

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

    with RunLog(tmp_path / "log.jsonl") as log:
        monkeypatch.setattr(log, "_file", Slow(log._file))
        log.step(1, "weights", {"loss": 1.0})
    assert steps(tmp_path / "log.jsonl") == [1]


def test_json_safe_takes_numbers_of_other_libraries() -> None:
    value = {
        1: numpy.float32(0.5),
        "a": (numpy.int64(3), torch.tensor(2.0), torch.tensor([4])),
        "b": numpy.float64("nan"),
        "c": numpy.array(7),
        "d": torch.tensor(-math.inf),
    }
    assert json_safe(value) == {"1": 0.5, "a": [3, 2.0, 4], "b": "nan", "c": 7, "d": "-inf"}
    for refused in (torch.zeros(2), object(), {1, 2}, 1j):
        with pytest.raises(ValueError, match="JSON cannot hold"):
            json_safe(refused)


plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(plain_data)
def test_json_text_is_one_strict_line(value: object) -> None:
    text = json_text(value)
    assert text.count("\n") == 1
    assert json.loads(text, parse_constant=refuse_constant) == json_safe(value)
    assert json_safe(json_safe(value)) == json_safe(value)


def test_tensorboard_holds_the_terms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files of one second are read by the process's count of them, of which 10 sorts before 9."""
    writer = pytest.importorskip("tensorboard.summary.writer.event_file_writer")
    monkeypatch.setattr(writer, "_global_uid", writer.AtomicCounter(0))
    folder = tmp_path / "tensorboard"
    with RunLog(tmp_path / "log.jsonl", folder) as log:
        assert not folder.exists()
        for number in range(4):
            log.step(number, "weights", {"loss": 1.0 + number}, rate=0.5, note="text")
    with RunLog(tmp_path / "log.jsonl", folder) as log:
        log.truncate_after(1)
        log.step(2, "weights", {"loss": 30.0})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    assert sorted(events.Tags()["scalars"]) == ["weights/loss", "weights/rate"]
    points = [(point.step, point.value) for point in events.Scalars("weights/loss")]
    assert points == [(0, 1.0), (1, 2.0), (2, 30.0)]


def test_without_tensorboard_there_is_one_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    path = tmp_path / "log.jsonl"
    with RunLog(path, tmp_path / "tensorboard") as log:
        log.step(1, "weights", {"loss": 1.0})
        log.step(2, "weights", {"loss": 1.0})
    assert events(path) == ["log", "tensorboard_off"]
    assert steps(path) == [1, 2]
    assert not (tmp_path / "tensorboard").exists()
