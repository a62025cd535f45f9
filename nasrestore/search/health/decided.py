"""Judgements of what a search decided: how sure, how settled, and what kind of operations. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nasrestore.errors import few
from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.signature import OperationSignature
from nasrestore.registry import operation
from nasrestore.search.health.course import ChoiceCourse
from nasrestore.search.health.finding import Finding

UNDECIDED = 0.95  # share of the greatest entropy
RESTLESS = 0.1  # of the search, at its end
CROWDED = 0.5  # share of operations without parameters
LARGEST_LOSS = 0.5  # by deciding, over what the search gained
SMALL = 0.1  # loss by deciding over the objective, where nobody knows what was gained

Decisions = Mapping[str, Sequence[str]]


def judge_course(course: ChoiceCourse, total: int, spread: float = 0.0) -> list[Finding]:
    """Entropy, margin and stability of one choice.

    Args:
        total: turns of the search.
        spread: standard deviation of the first logits, over the relaxation's temperature.
    """
    found = [] if course.entropy is None else [_entropy(course.name, course.entropy)]
    if course.runner_up is not None:
        found += [_margin(course, spread), _stability(course, total)]
    return found


def _entropy(name: str, share: float) -> Finding:
    said = f"the strengths of {name} have {share:.1%} of the greatest entropy"
    if share < UNDECIDED:
        return Finding("ok", "entropy", name, said, "", share)
    return Finding(
        "soft",
        "entropy",
        name,
        f"{said}: its candidates are nearly equal",
        "the supernet computes with all candidates and the decision with a few: search longer, raise "
        "the learning rate of the architecture, or let the temperature fall (relaxation: "
        "gumbel_softmax)",
        share,
    )


def _margin(course: ChoiceCourse, spread: float) -> Finding:
    margin, lead = course.margin or 0.0, course.log_margin or 0.0
    last, beaten = course.leading[-1], course.runner_up
    said = f"{course.name}: {last} leads {beaten} by {margin:.3g}"
    if margin <= 0:
        why = f"{course.name}: {last} and {beaten} are equally strong; the first was taken"
    elif lead < spread:
        why = f"{said}, less than the random start alone makes (a spread of {spread:g} in logits)"
    elif margin < course.unrest:
        why = f"{said}, less than their difference moves from one look to the next "
        why += f"({course.unrest:.3g})"
    else:
        return Finding("ok", "margin", course.name, said, "", margin)
    advice = (
        "take the decision for chance: search longer, compare several seeds (--seed), or look at "
    )
    advice += "the alternatives (nasrestore derive RUN --top 3)"
    return Finding("soft", "margin", course.name, why, advice, margin)


def _stability(course: ChoiceCourse, total: int) -> Finding:
    count = float(course.changes)
    if course.changed is None:
        sentence = f"the leading candidates of {course.name} never changed"
        return Finding("ok", "stability", course.name, sentence, "", count)
    times = "once" if course.changes == 1 else f"{course.changes} times"
    said = (
        f"the leading candidates of {course.name} changed {times}, last in turn {course.changed:,}"
    )
    if course.changed <= (1 - RESTLESS) * total:
        return Finding("ok", "stability", course.name, f"{said} of {total:,}", "", count)
    return Finding(
        "soft",
        "stability",
        course.name,
        f"{said} of {total:,}: it had not settled",
        "search longer, or let the architecture's learning rate fall towards the end (schedule: "
        "cosine)",
        count,
    )


def judge_checkpoints(decisions: Mapping[int, Decisions]) -> list[Finding]:
    """Whether the last checkpoints decide alike.

    Args:
        decisions: by turn.
    """
    if len(decisions) < 2:
        return []
    (before, old), (after, new) = sorted(decisions.items())[-2:]
    # What only one of them decides hangs on a link or a cell that the other drops.
    both = [name for name in new if name in old]
    differing = [name for name in both if set(new[name]) != set(old[name])]
    where = f"the checkpoints of turn {before:,} and {after:,}"
    if not differing:
        return [Finding("ok", "checkpoints", "decisions", f"{where} decide alike", "", 0.0)]
    return [
        Finding(
            "soft",
            "checkpoints",
            "decisions",
            f"{where} decide differently for {few(differing)}",
            "the decision depends on when the search stopped: search longer",
            float(len(differing)),
        )
    ]


def judge_operations(graph: SearchGraph, decisions: Decisions) -> list[Finding]:
    """The share of operations without parameters in a decision; links and cells do not count.

    Tied decisions count once, and what dropped links and cells hold does not.
    """
    free, by_chance = [], 0.0
    operations = {node.choice: node.candidates for node in graph.nodes if node.choice is not None}
    relevant = graph.relevant({name: tuple(names) for name, names in decisions.items()})
    judged = {name: relevant[name] for name in operations if name in relevant}
    for name, labels in judged.items():
        kinds = {one.label: _is_free(one.kind) for one in operations[name]}
        free += [f"{name}: {label}" for label in labels if kinds[label]]
        decidable = graph.choice(name).decidable
        by_chance += sum(kinds[label] for label in decidable) / len(decidable)
    count = len(judged)
    if not count:
        return []
    share, chance = len(free) / count, by_chance / count
    said = f"{len(free)} of {count} operations decided for have no parameters"
    expected = f"{chance:.0%} would by chance"
    if share <= CROWDED or share <= chance or math.isclose(share, chance):
        sentence = f"{said} ({expected})"
        return [Finding("ok", "parameter_free", "decisions", sentence, "", share)]
    return [
        Finding(
            "soft",
            "parameter_free",
            "decisions",
            f"{said}, where {expected}: {few(free)}; skips and pooling win early since they need no "
            "training, not since they are good",
            "let the architecture start later (start:), regularise the weights more strongly, or end "
            "the search earlier (search.health.stop_ratio=0.75)",
            share,
        )
    ]


def _is_free(kind: str) -> bool:
    signature = operation.signature(kind)
    return isinstance(signature, OperationSignature) and signature.parameter_free


def judge_gap(supernet: float, derived: float, gained: float | None) -> Finding:
    """What deciding loses: the objective on validation patches, before any training.

    Args:
        gained: by how much the search lowered the objective; ``None`` where that is not known.
    """
    gap = derived - supernet
    said = f"deciding takes the objective from {supernet:.4g} to {derived:.4g} before any training"
    if gap <= 0:
        return Finding("ok", "gap", "derived network", f"{said}: it loses nothing", "", gap)
    if gained is None or gained <= 0:
        kind = "ok" if gap <= SMALL * abs(supernet) else "soft"
    else:
        kind = "ok" if gap <= LARGEST_LOSS * gained else "soft"
        said += f", {gap / gained:.0%} of what the search had gained"
    if kind == "ok":
        return Finding("ok", "gap", "derived network", said, "", gap)
    return Finding(
        "soft",
        "gap",
        "derived network",
        f"{said}: the supernet's strengths say little of the network that is left",
        "train the derived network before judging it, from fresh weights (train: {from: fresh}) if "
        "need be; a relaxation that ends near zeros and ones (gumbel_softmax) leaves a smaller gap",
        gap,
    )
