"""The most memory that tensors take while something runs, on a CPU."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

MEASURE = (
    "peak: the most bytes of tensors that were allocated during the call and alive at a time, over those "
    "there before, from torch.profiler's record of every allocation (profile_memory); what "
    "libraries such as oneDNN allocate for themselves is not in it"
)


def peak_bytes(run: Callable[[], object]) -> int:
    """Bytes, the most at a time, of tensors that ``run`` allocated; its result included.

    Of torch.profiler the trace file is read, since that is documented; time the call separately.
    """
    logging.getLogger("torch.profiler").setLevel(logging.ERROR)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        result = run()
    del result
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        record.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    moves = [event for event in events if event.get("name") == "[memory]"]
    now = most = 0
    for event in sorted(moves, key=lambda move: move["ts"]):
        if event["args"]["Device Type"] == 0:
            now += event["args"]["Bytes"]
            most = max(most, now)
    return most
