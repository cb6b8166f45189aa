"""The examples of the documentation run."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.filterwarnings("ignore")  # of Lightning, about loaders and folders
def test_the_page_about_own_modules_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "own_modules.md").read_text()
    example = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    names = {}
    exec(compile(example, "own_modules.md", "exec"), names)  # what a reader would do
    told = re.search(r"^```\n(prunable: .*)\n```", page, re.MULTILINE).group(1)
    assert told in capsys.readouterr().out
    module = names["MyModule"].load_from_checkpoint("pruned.ckpt")
    weights = [module.net[0].weight, module.head.weight]
    assert sum(int((weight == 0).sum()) for weight in weights) == 1024  # of 1280
    assert int((names["model"].head.weight == 0).sum()) == 128
