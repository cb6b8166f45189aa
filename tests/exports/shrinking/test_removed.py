"""What was removed and what stays, in words."""

from dataclasses import replace

import pytest

from tests.exports.reports import WIDTHS
from vitprune.exports.shrinking.removed import describe_removed
from vitprune.runs.shrink_report import ShrinkReport

SHRUNK = {
    "off": (
        ShrinkReport(0, reason="models of type 'beit' cannot be shrunk."),
        "nothing was removed (models of type 'beit' cannot be shrunk).",
    ),
    "nothing to remove": (
        ShrinkReport(0, before=WIDTHS, after=WIDTHS, stayed={"single_weights": 0}),
        "Nothing could be removed without changing the logits.",
    ),
    "removed": (
        ShrinkReport(1500, before=WIDTHS, after=replace(WIDTHS, heads=1, neurons=32), stayed={}),
        "1,500 parameters were removed with the same logits: heads 2 to 1, neurons 64 to 32.",
    ),
    "by load_pruned": (
        ShrinkReport(0, before=WIDTHS, after=WIDTHS, dropped_by_load_pruned=1500),
        "only `load_pruned` removes 1,500 parameters.",
    ),
    "more by load_pruned": (
        ShrinkReport(
            1500,
            before=WIDTHS,
            after=replace(WIDTHS, neurons=32),
            dropped_by_load_pruned=600,
            narrowed_by_load_pruned=["heads", "neurons"],
        ),
        "neurons 64 to 32. `load_pruned` removes another 600 parameters of heads and neurons.",
    ),
    "modules of one width": (
        ShrinkReport(
            0,
            before=WIDTHS,
            after=WIDTHS,
            stayed={"fixed_widths": 12},
            left={"attention of EvaAttention": "the code of its forward fixes its width"},
        ),
        "  - attention of EvaAttention: the code of its forward fixes its width",
    ),
    "stayed": (
        ShrinkReport(0, before=WIDTHS, after=WIDTHS, stayed={"single_weights": 1234}),
        "- 1,234: zeros that form no whole head, dimension of a head, neuron or branch",
    ),
}


@pytest.mark.parametrize("case", SHRUNK)
def test_what_was_removed_and_what_stays(case):
    shrunk, text = SHRUNK[case]
    assert text in describe_removed(shrunk)
