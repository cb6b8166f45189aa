"""The architecture, as a test: a room imports only from the rooms before it."""

import ast
import subprocess
import sys
from pathlib import Path

import vitprune

SOURCE = Path(vitprune.__file__).parent
ORDER = ["errors", "seeding", "runs", "model", "data", "pruning", "training", "figures"]
ORDER += ["evaluation", "exports", "benchmark", "reports", "cli", "__main__"]


# Where names are imported on first use, type checkers see them in a block of their own.
LAZY = {"__init__.py", "model/__init__.py", "pruning/__init__.py"}


def _imports(path: Path) -> set[str]:
    found = set()
    tree = ast.parse(path.read_text())
    for block in ast.walk(tree):
        is_lazy = isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        if is_lazy and str(path.relative_to(SOURCE)) in LAZY:
            block.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vitprune"):
            parts = (node.module or "").split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
    return found


def test_rooms_import_only_from_the_rooms_before_them():
    wrong = []
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        wrong += [
            f"{path.name} imports {other}"
            for other in _imports(path)
            if ORDER.index(other) > ORDER.index(room)
        ]
    assert not wrong
    files = {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    assert files | {path.parent.name for path in SOURCE.glob("*/__init__.py")} == set(ORDER)


def test_pruning_is_imported_without_lightning():
    code = """
import sys
import vitprune.pruning
assert "lightning" not in sys.modules
from vitprune.pruning import AccuracyGuarded, IterativePruning, LearningRate, Rewind, Weights
assert "lightning" in sys.modules
assert all(getattr(vitprune.pruning, name) for name in vitprune.pruning.__all__)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_file_is_called_utils_or_helpers():
    assert not [
        p for p in SOURCE.rglob("*.py") if p.stem in ("utils", "util", "helpers", "common", "misc")
    ]
