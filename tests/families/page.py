"""Write docs/families.md: what each family supports, as the tests of this folder assert it.

Run `python -m tests.families.page` after a change of the matrix.
"""

from pathlib import Path

from tests.families.expectations import WITH_CODE, is_plain, refusal
from tests.families.families import FAMILIES, Family

FILE = Path(__file__).parents[2] / "docs" / "families.md"
# title: columns of the matrix, all of which must be supported
TITLES = {
    "weights": ("roles", "element"),
    "2:4": ("two_of_four",),
    "criteria": ("random", "taylor", "fisher", "wanda", "sparse_gpt", "movement"),
    "heads": ("head",),
    "head dims": ("head_dim",),
    "neurons": ("neuron",),
    "branches": ("branch",),
    "channels": ("width",),
    "training": ("distillation", "resume", "command"),
    "scans": ("scan",),
    "image size": ("size",),
    "ONNX": ("onnx",),
    "export": ("export",),
    "fewer heads": ("fewer_heads",),
    "fewer neurons": ("fewer_neurons",),
    "fewer channels": ("fewer_channels",),
}
# their cells say what loads the export; where it is not smaller, pruned structure may be zeros
EXPORTS = {
    "export": "element",
    "fewer heads": "head",
    "fewer neurons": "neuron",
    "fewer channels": "width",
}
HEAD = """# Model families

<!-- Written by `python -m tests.families.page`; `make test-families` checks every cell. -->

What can be pruned in each family, what can be physically removed, and what loads the export.
The columns:

- weights, 2:4: pruning of single weights (`Element`), or of two of four consecutive inputs (`NofM`)
- criteria: Magnitude, Random, Taylor, Fisher, Wanda, SparseGPT and Movement
- heads, head dims, neurons, branches, channels: pruning by `Head`, `HeadDim`, `Neuron`, `Branch`
  and `Width`
- training: `fit` from a model folder to an export, with distillation; a resumed run equals an
  uninterrupted one bit for bit
- scans: the logits that `sensitivity` and `sweep` compute equal those of the whole model, bit for
  bit
- image size: training on images of another size than that of the pretrained model
- ONNX: ONNX Runtime computes the logits of the pruned model
- export: what loads the export of a model pruned by single weights
- fewer heads, fewer neurons: what loads the smaller model after half of the heads or neurons of
  every block were pruned. `transformers` and timm can if the configuration expresses the smaller
  width. `load_pruned` in a cell stands for `load_pruned`, pt2 and ONNX; they also support different
  widths in each block.
- fewer channels: what loads the model after half of the channels of the residual stream were
  pruned. With `load_pruned` in the cell, `from_pretrained` of transformers or timm raises an error,
  unless dimensions of heads are pruned too, so that all heads together are as wide as the stream.

"Remote code" means that `transformers` has no image classifier for the family. The export contains
the code of one; load it with `trust_remote_code=True`.

"""


def page() -> str:
    """Return the whole page."""
    notes: list[str] = []
    lines = [_row(["family", *TITLES]), _row(["---"] * (len(TITLES) + 1))]
    for library in ("transformers", "timm"):
        lines.append(_row([f"**{library}**", *[""] * len(TITLES)]))
        for family in FAMILIES.values():
            if family.library == library:
                cells = [_cell(title, family, notes) for title in TITLES]
                lines.append(_row([family.title, *cells]))
    footnotes = [f"{number}. {note}" for number, note in enumerate(notes, start=1)]
    return HEAD + "\n".join([*lines, "", *footnotes, ""])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(title: str, family: Family, notes: list[str]) -> str:
    found = [refusal(column, family) for column in TITLES[title]]
    refused = [r.note for r in found if r is not None]
    for note in refused:
        if note not in notes:
            notes.append(note)
    numbers = sorted({notes.index(note) + 1 for note in refused})
    if numbers:
        marks = f"<sup>{', '.join(map(str, numbers))}</sup>"
        if title in EXPORTS and refusal(EXPORTS[title], family) is None:
            return f"zeros only {marks}"
        return f"{'no' if all(found) else 'partly'} {marks}"
    return _loader(title, family) if title in EXPORTS else "yes"


def _loader(title: str, family: Family) -> str:
    """Return what loads an export."""
    if not is_plain(TITLES[title][0], family):
        return "`load_pruned`"
    if family.library == "timm":
        return "timm, transformers"
    return "transformers, remote code" if family.name in WITH_CODE else "transformers"


if __name__ == "__main__":
    FILE.write_text(page())
