"""What shrinking removed and which zeros stay, in words, for the model card."""

from vitprune.exports.shrinkage import REASONS
from vitprune.runs.shrink_report import ShrinkReport


def describe_removed(shrunk: ShrinkReport) -> str:
    """Return a paragraph about what was removed and which zeros stay, in Markdown."""
    if shrunk.reason is not None:
        return f"Zeros are stored as zeros: nothing was removed ({shrunk.reason.rstrip('.')})."
    stayed = {name: zeros for name, zeros in shrunk.stayed.items() if zeros}
    lines = [_removed(shrunk)]
    if stayed:
        lines.append("Zeros that stay in the file, and why:\n")
    lines += [f"- {zeros:,}: {REASONS[name]}" for name, zeros in stayed.items()]
    if stayed.get("fixed_widths"):
        lines += [f"  - {kind}: {why_not}" for kind, why_not in shrunk.left.items()]
    return "\n".join(lines)


def _removed(shrunk: ShrinkReport) -> str:
    if not shrunk.dropped_parameters:
        if shrunk.dropped_by_load_pruned:
            return (
                "The configuration cannot express the smaller widths: only "
                f"`load_pruned` removes {shrunk.dropped_by_load_pruned:,} parameters."
            )
        return "Nothing could be removed without changing the logits."
    before, after = vars(shrunk.before), vars(shrunk.after)
    changes = [
        f"{name.replace('_', ' ')} {width} to {after[name]}"
        for name, width in before.items()
        if after[name] != width
    ]
    smaller = f"{shrunk.dropped_parameters:,} parameters were removed with the same logits"
    return f"{smaller}: {', '.join(changes)}." if changes else f"{smaller}."
