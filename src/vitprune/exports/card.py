"""The model card of an export."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from vitprune.exports.shrinking.removed import describe_removed
from vitprune.exports.usage import Loading, describe_usage
from vitprune.runs.latency_report import LatencyReport
from vitprune.runs.report import ModelReport, RunReport
from vitprune.runs.rounds import RoundReport, in_units, round_table

CARD = """\
---
{metadata}
---

# {title}

{sentence}

```
{command}
```

{numbers}

```python
from transformers import AutoImageProcessor, AutoModelForImageClassification

processor = AutoImageProcessor.from_pretrained("path/to/this/folder")
model = AutoModelForImageClassification.from_pretrained("path/to/this/folder"{options})
logits = model(**processor(image, return_tensors="pt")).logits  # of a PIL image in RGB
print(model.config.id2label[int(logits.argmax())])
```

{remark}{usage}{rounds}{bias}{removed}

All numbers are in `report.json`.
{plots}"""

HEADER = "|  | base | pruned |\n|---|---|---|"
ROWS = {  # title: attribute of `ModelReport` and format
    "validation accuracy": ("accuracy", "{:.2%}"),
    "validation loss": ("loss", "{:.4f}"),
    "parameters": ("parameters", "{:,}"),
    "nonzero parameters": ("nonzero_parameters", "{:,}"),
    "FLOPs, one image": ("flops", "{:,}"),
    "bytes of weights": ("bytes", "{:,}"),
}


def model_card(
    report: RunReport,
    base_name: str | None,
    plots: Sequence[str],
    loading: Loading = Loading(),
    source: str | None = None,
) -> str:
    """Return the model card of an export, in Markdown.

    Args:
        report: Numbers about the run and the export.
        base_name: Pretrained model that the run started from; None if there was none.
        plots: Paths of the figures, relative to the export.
        loading: How the folder is loaded.
        source: Data set of the validation images; None if it is not known.

    """
    name = base_name or "a Vision Transformer"
    title = _title(Path(name).name, report.sparsity.prunable)
    return CARD.format(
        metadata=_metadata(report, base_name, title, source).to_yaml(),
        title=title,
        sentence=_sentence(name, report),
        command=report.environment.command,
        numbers=_numbers(report),
        options=loading.options,
        remark=loading.remark,
        usage=describe_usage(report),
        rounds=_rounds(report.rounds),
        bias=_selection_bias(report),
        removed=describe_removed(report.shrunk),
        plots="".join(f"\n![{Path(plot).stem}]({plot})\n" for plot in plots),
    )


def with_latency(card: str, latency: LatencyReport) -> str:
    """Return a model card with a row about latencies, which are measured after the export."""
    pruned = f"{in_units(latency.pruned_ms)} ms, {latency.speedup:.2f} times as fast"
    if latency.predicted_speedup is not None:
        pruned += f" ({latency.predicted_speedup:.2f} predicted)"
    row = _row(f"latency of {latency.conditions}", f"{in_units(latency.dense_ms)} ms", pruned)
    return card.replace(f"\n{HEADER}\n", f"\n{HEADER}\n{row}\n", 1)


def _metadata(
    report: RunReport, base_name: str | None, title: str, source: str | None
) -> ModelCardData:
    """Return what the hub reads from a card; it shows the accuracy with the data set."""
    accuracy = report.pruned.accuracy
    results = [_result(source, accuracy)] if source and accuracy is not None else None
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=["vit", "pruning", "sparse", "vitprune"],
        base_model=base_name if base_name and _is_hub_name(base_name) else None,
        model_name=title if results else None,
        eval_results=results,
    )


def _result(source: str, accuracy: float) -> EvalResult:
    name = Path(source).name
    return EvalResult(
        task_type="image-classification",
        dataset_type=source if _is_hub_name(source) else name,
        dataset_name=name,
        dataset_split="validation",
        metric_type="accuracy",
        metric_name="validation accuracy",
        metric_value=round(accuracy, 4),
    )


def _is_hub_name(name: str) -> bool:
    return "/" in name and not name.startswith((".", "/", "~")) and not Path(name).is_dir()


def _title(name: str, sparsity: float) -> str:
    return f"{name}, {sparsity:.0%} sparse" if sparsity else name


def _sentence(name: str, report: RunReport) -> str:
    sparsity = report.sparsity
    sentence = (
        f"{name}, fine-tuned; {sparsity.prunable:.2%} of the prunable weights and "
        f"{sparsity.total:.2%} of all parameters are pruned."
    )
    if report.finished:
        return sentence
    return f"{sentence} The run had not reached its final sparsity when this was exported."


def _numbers(report: RunReport) -> str:
    """Return the table of the dense and the pruned model."""
    rows = [
        _row(title, _cell(report.base, *how), _cell(report.pruned, *how))
        for title, how in ROWS.items()
    ]
    for name, written in report.formats.items():
        if written.bytes is not None:
            rows.append(_row(f"bytes as {name}", "-", f"{written.bytes:,}"))
        if written.accuracy is not None:
            rows.append(_row(f"validation accuracy as {name}", "-", f"{written.accuracy:.2%}"))
        if written.accuracy is not None and written.largest_logit_difference is not None:
            difference = f"{written.largest_logit_difference:.2g}"
            rows.append(_row(f"largest change of a logit as {name}", "-", difference))
    return "\n".join([HEADER, *rows])


def _cell(model: ModelReport, attribute: str, form: str) -> str:
    value = getattr(model, attribute)
    return "-" if value is None else form.format(value)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _rounds(rounds: Sequence[RoundReport]) -> str:
    if not rounds:
        return ""
    header, *rows = round_table(rounds)
    rule = ("---",) * len(header)
    return "\n".join(_row(*cells) for cells in (header, rule, *rows)) + "\n\n"


def _selection_bias(report: RunReport) -> str:
    """Return a warning if the exported epoch was chosen by its validation accuracy."""
    if not report.is_best:
        return ""
    where = " at the final sparsity" if report.rounds else ""
    row = " The last row of the table of rounds is measured at that epoch." if report.rounds else ""
    return (
        f"The exported epoch has the highest validation accuracy{where}, so that accuracy is "
        f"optimistically biased.{row}\n\n"
    )
