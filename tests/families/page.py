"""Write docs/families.md: what each family supports, as the tests of this folder assert it.

Run `python -m tests.families.page` after a change of the matrix.
"""

from pathlib import Path

from tests.families.expectations import is_plain, refusal
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
    "training": ("distillation", "resume", "command"),
    "scans": ("scan",),
    "image size": ("size",),
    "ONNX": ("onnx",),
    "export": ("export",),
    "fewer heads": ("fewer_heads",),
    "fewer neurons": ("fewer_neurons",),
}
EXPORTS = ("export", "fewer heads", "fewer neurons")  # their cells say what loads them
HEAD = """# Model families

<!-- Written by `python -m tests.families.page`; the tests check every cell. -->

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
        return f"no <sup>{', '.join(map(str, numbers))}</sup>"
    return _loader(title, family) if title in EXPORTS else "yes"


def _loader(title: str, family: Family) -> str:
    """Return what loads an export."""
    if not is_plain(TITLES[title][0], family):
        return "`load_pruned`"
    return "timm, transformers" if family.library == "timm" else "transformers"


if __name__ == "__main__":
    FILE.write_text(page())
