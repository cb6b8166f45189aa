"""The summary of an export on the terminal."""

from vitprune.runs.format_report import FormatReport
from vitprune.runs.report import RunReport
from vitprune.runs.rounds import in_units


def summarize(report: RunReport) -> str:
    """Return the main numbers of an export and one line for each further format."""
    lines = [
        f"sparsity {report.sparsity.prunable:.2%}{_unfinished(report)}, {_accuracies(report)}",
        f"{report.pruned.parameters:,} parameters ({report.base.parameters:,} before pruning), "
        f"{report.pruned.nonzero_parameters:,} of them nonzero",
        *_smaller(report),
        *_zeros(report),
        *flops_line(report),
        _describe_difference(report.verification.largest_logit_difference),
    ]
    lines += [f"{name}: {_describe_format(result)}" for name, result in report.formats.items()]
    return "\n".join(f"  {line}" for line in lines)


def _unfinished(report: RunReport) -> str:
    return "" if report.finished else " (the pruning schedule is not complete)"


def _smaller(report: RunReport) -> list[str]:
    further = report.shrunk.dropped_by_load_pruned
    if not further:
        return []
    return [f"{report.pruned.parameters - further:,} parameters with load_pruned, pt2 and onnx"]


def _zeros(report: RunReport) -> list[str]:
    """Return that no tensor became smaller, and what makes a smaller file."""
    if not report.rounds or report.pruned.parameters < report.base.parameters or report.formats:
        return []
    return ["pruned weights are stored as zeros; --formats compressed writes a smaller file"]


def flops_line(report: RunReport) -> list[str]:
    """Return the FLOPs before and after, if there are fewer; nothing if they were not counted."""
    left, before = report.pruned.flops, report.base.flops
    if not left or not before or left == before:
        return []
    saved = f"{1 - left / before:.1%} less"
    return [f"{in_units(left)} of {in_units(before)} FLOPs an image, {saved}"]


def _accuracies(report: RunReport) -> str:
    dense = report.base.accuracy
    before = "" if dense is None else f", {dense:.2%} before pruning"
    return f"validation accuracy {report.pruned.accuracy:.2%}{before}"


def _describe_format(result: FormatReport) -> str:
    if result.note:
        return result.note
    parts = [] if result.bytes is None else [f"{result.bytes:,} bytes"]
    if result.accuracy is not None:
        parts.append(f"validation accuracy {result.accuracy:.2%}")
    if result.speedup is not None:
        parts.append(f"{result.speedup:.2f} times the throughput of float32 ({result.method})")
    if result.lossless:
        parts.append("restores every bit of the weights")
    if result.largest_logit_difference is not None:
        parts.append(_describe_difference(result.largest_logit_difference))
    if result.top1_agreement is not None:
        parts.append(f"same class for {result.top1_agreement:.1%} of {result.images} images")
    return ", ".join(parts)


def _describe_difference(difference: float) -> str:
    if not difference:
        return "logits equal to those of the pruned model"
    return f"logits differ from the pruned model by at most {difference:.1g}"
