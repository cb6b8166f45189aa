"""Reports with made-up numbers."""

from dataclasses import replace

from vitprune.runs.format_report import Verification
from vitprune.runs.report import Environment, ModelReport, RunReport, SparsityReport
from vitprune.runs.rounds import RoundReport
from vitprune.runs.shrink_report import ModelWidths, ShrinkReport

ROUND = RoundReport(
    round=1,
    epoch=0,
    step=0,
    target=0.5,
    sparsity=0.5,
    removed=0.5,
    accuracy_pruned=0.7,
    accuracy_finetuned=0.9,
)
DENSE = ModelReport(
    accuracy=0.95,
    loss=0.2,
    parameters=1000,
    nonzero_parameters=1000,
    flops=5000,
    bytes=4000,
)
PRUNED = replace(DENSE, accuracy=0.9, loss=0.3, parameters=900, nonzero_parameters=500, images=50)
WIDTHS = ModelWidths(blocks=2, heads=2, head_dim=16, neurons=64, channels=32)


def run_report(**changes) -> RunReport:
    """Return the report of a run with one round; `changes` replaces fields."""
    report = RunReport(
        finished=True,
        is_best=False,
        sparsity=SparsityReport(prunable=0.5, total=0.4, layers={}),
        base=DENSE,
        pruned=PRUNED,
        rounds=[ROUND],
        shrunk=ShrinkReport(0, before=WIDTHS, after=WIDTHS),
        formats={},
        verification=Verification(largest_logit_difference=0.0, zeros_in_file=400, images=32),
        environment=Environment(
            versions={"torch": "2"}, device="CPU", command="vitprune fit", seed=42
        ),
    )
    return replace(report, **changes)
