"""The summary of an export on the terminal."""

from typing import Any


def summarize(report: dict[str, Any]) -> str:
    """Return what is worth saying about an export, in lines of their own, and a line for each further format."""
    done = "" if report["finished"] else ", before the final sparsity of its schedule"
    pruned, before = report["pruned"], report["base"]["accuracy"]
    dense = "" if before is None else f", {before:.2%} before pruning"
    lines = [
        f"sparsity {report['sparsity']['prunable']:.2%}{done}, validation accuracy "
        f"{pruned['accuracy']:.2%}{dense}",
        f"{pruned['parameters']:,} of {report['base']['parameters']:,} parameters stored, "
        f"{pruned['nonzero_parameters']:,} of them not zero",
        _logits(report["verification"]),
    ]
    lines += [f"{name}: {_describe_format(result)}" for name, result in report["formats"].items()]
    return "\n".join(f"  {line}" for line in lines)


def _describe_format(result: dict[str, Any]) -> str:
    if "note" in result:
        return result["note"]
    size = f"{result['bytes']:,} bytes, " if "bytes" in result else ""
    if "largest_logit_difference" not in result:
        return f"{size}the same weights, bit for bit"
    return f"{size}{_logits(result)}, the same class for {result['top1_agreement']:.1%} of {result['images']} images"


def _logits(comparison: dict[str, Any]) -> str:
    difference = comparison["largest_logit_difference"]
    return (
        f"logits at most {difference:.1g} from the masked model's"
        if difference
        else "same logits as the masked model"
    )
