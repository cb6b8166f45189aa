"""The model card of an export."""

from pathlib import Path
from typing import Any

from vitprune.export.shrinkage import REASONS
from vitprune.export.usage import USAGE
from vitprune.runs.rounds_table import ROUND_HEADER, round_rows

CARD = """\
---
library_name: transformers
pipeline_tag: image-classification
tags: [vit, pruning, sparse, vitprune]
{base_line}---

# {title}

{sentence}

```
{command}
```

| | base | pruned |
|---|---|---|
{rows}

```python
from transformers import AutoImageProcessor, AutoModelForImageClassification

processor = AutoImageProcessor.from_pretrained("path/to/this/folder")
model = AutoModelForImageClassification.from_pretrained("path/to/this/folder")
logits = model(**processor(image, return_tensors="pt")).logits  # of a PIL image
print(model.config.id2label[int(logits.argmax())])
```

{usage}{rounds}{chosen}{shrunk}

All numbers are in `report.json`.
{plots}"""


def model_card(report: dict[str, Any], base_name: str | None, plots: list[str]) -> str:
    """Return the model card of an export, in Markdown."""
    sparsity = report["sparsity"]["prunable"]
    done = (
        ""
        if report["finished"]
        else " The run had not reached its final sparsity when this was exported."
    )
    name = base_name or "a Vision Transformer"
    return CARD.format(
        base_line=f"base_model: {base_name}\n" if base_name and _is_hub_name(base_name) else "",
        title=f"{Path(name).name}, {sparsity:.0%} sparse" if sparsity else Path(name).name,
        sentence=f"{name}, fine-tuned; {sparsity:.2%} of the prunable weights and {report['sparsity']['total']:.2%} of all "
        f"parameters were set to zero.{done}",
        command=report["environment"]["command"],
        rows="\n".join([*(_row(*line, report) for line in ROWS), *_other_sizes(report)]),
        usage="".join(USAGE[name] for name in _other_ways(report)),
        rounds=_rounds_table(report["rounds"]),
        chosen=_how_chosen(report),
        shrunk=_shrunk(report),
        plots="".join(f"\n![{Path(plot).stem}]({plot})\n" for plot in plots),
    )


def _is_hub_name(name: str) -> bool:
    return "/" in name and not name.startswith((".", "/", "~")) and not Path(name).is_dir()


def _how_chosen(report: dict[str, Any]) -> str:
    """Return a warning about a validation accuracy that the epoch was chosen by."""
    if not report["is_best"]:
        return ""
    where, row = (
        (" at the final sparsity", "; the last row above ends at that epoch")
        if report["rounds"]
        else ("", "")
    )
    chosen = f"The exported epoch is the one of the highest validation accuracy{where}"
    return f"{chosen}, so that accuracy is a little too good{row}.\n\n"


def _other_ways(report: dict[str, Any]) -> list[str]:
    return [
        *(["load_pruned"] if report["shrunk"].get("dropped_by_load_pruned") else []),
        *report["formats"],
    ]


def _shrunk(report: dict[str, Any]) -> str:
    """Return a paragraph about what was dropped and what stays."""
    shrunk = report["shrunk"]
    if "after" not in shrunk:
        return f"Zeros are stored as zeros: nothing was dropped ({shrunk['reason'].rstrip('.')})."
    lines = ["Nothing could be dropped with the same logits."]
    if shrunk["dropped_parameters"]:
        lines = [
            f"{shrunk['dropped_parameters']:,} parameters were dropped with the same logits: "
            f"{_widths(shrunk)}."
        ]
    if any(shrunk["stayed"].values()):
        lines.append("What stays in the file as zeros, and why:\n")
    lines += [f"- {zeros:,}: {REASONS[name]}" for name, zeros in shrunk["stayed"].items() if zeros]
    return "\n".join(lines)


def _widths(shrunk: dict[str, Any]) -> str:
    changes = [
        f"{name.replace('_', ' ')} {before} to {shrunk['after'][name]}"
        for name, before in shrunk["before"].items()
        if shrunk["after"][name] != before
    ]
    return ", ".join(changes)


ROWS = (
    ("validation accuracy", "accuracy", "{:.2%}"),
    ("validation loss", "loss", "{:.4f}"),
    ("parameters", "parameters", "{:,}"),
    ("of them not zero", "nonzero_parameters", "{:,}"),
    ("FLOPs, one image", "flops", "{:,}"),
    ("bytes of weights", "bytes", "{:,}"),
)


def _row(title: str, key: str, form: str, report: dict[str, Any]) -> str:
    cells = [
        "-" if (value := report[side][key]) is None else form.format(value)
        for side in ("base", "pruned")
    ]
    return f"| {title} | {cells[0]} | {cells[1]} |"


def _other_sizes(report: dict[str, Any]) -> list[str]:
    return [
        f"| bytes as {name} | - | {facts['bytes']:,} |"
        for name, facts in report["formats"].items()
        if "bytes" in facts
    ]


def _rounds_table(rounds: list[dict[str, Any]]) -> str:
    if not rounds:
        return ""
    lines = [ROUND_HEADER, ("---",) * len(ROUND_HEADER), *round_rows(rounds)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n\n"
