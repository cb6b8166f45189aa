"""What shrinking removed and which zeros stay, in words, for the model card."""

from collections.abc import Sequence

from vitprune.exports.shrinking.shrinkage import REASONS
from vitprune.runs.shrink_report import ShrinkReport

GROUPS = {"heads": "heads", "head_dim": "dimensions of heads", "neurons": "neurons"}


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
    further = f"{shrunk.dropped_by_load_pruned:,} parameters{_of(shrunk.narrowed_by_load_pruned)}"
    if not shrunk.dropped_parameters:
        if shrunk.dropped_by_load_pruned:
            return (
                "The configuration cannot express the smaller widths: only `load_pruned` removes "
                f"{further}."
            )
        return "Nothing could be removed without changing the logits."
    before, after = vars(shrunk.before), vars(shrunk.after)
    changes = [
        f"{name.replace('_', ' ')} {width} to {after[name]}"
        for name, width in before.items()
        if after[name] != width
    ]
    smaller = f"{shrunk.dropped_parameters:,} parameters were removed with the same logits"
    more = f" `load_pruned` removes another {further}." if shrunk.dropped_by_load_pruned else ""
    return f"{smaller}: {', '.join(changes)}.{more}" if changes else f"{smaller}.{more}"


def _of(names: Sequence[str]) -> str:
    return f" of {' and '.join(GROUPS[name] for name in names)}" if names else ""
