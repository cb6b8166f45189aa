"""The tutorial runs as a reader would run it, and becomes a page of the site."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from scripts.docs.notebook import to_page

TUTORIAL = Path(__file__).parents[3] / "examples" / "quickstart.ipynb"


def printed(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the kernel's transport
def test_the_tutorial_runs(tmp_path):
    notebook = nbformat.read(TUTORIAL, as_version=4)
    shown = printed(notebook)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    assert "round 5/5" in shown
    assert "round 5/5" in printed(notebook)
    assert "largest difference of a logit: 0.0e+00" in printed(notebook)
    assert not list(tmp_path.iterdir())  # it writes to a temporary folder of its own


def test_its_page_has_text_code_results_and_figures():
    page = to_page(json.loads(TUTORIAL.read_text()), "images/tutorial")
    assert page.text.startswith("# Tutorial")
    assert "```python\nimport copy" in page.text
    assert "\nround 5/5 epoch 8 sparsity 80.00%" in page.text
    assert "Warning" not in page.text
    assert len(page.figures) == 3
    for path, content in page.figures.items():
        assert f"]({path})" in page.text
        assert content.startswith(b"\x89PNG")
