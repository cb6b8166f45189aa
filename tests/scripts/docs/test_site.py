"""The site builds, and refuses public names that the reference lacks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.docs.pages import on_page_markdown
from scripts.docs.public_names import undocumented

ROOT = Path(__file__).parents[3]


def build(folder, *changes):
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder, *changes],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path):
    built = build(tmp_path)
    assert built.returncode == 0, built.stderr
    for page in ("index", "quickstart", "changelog", "reference/cli", "reference/pruning"):
        assert (tmp_path / f"{page}.html").is_file()
    assert "--calibration_images" in (tmp_path / "reference" / "cli.html").read_text()


def test_every_public_name_is_in_the_reference(tmp_path):
    reference = ROOT / "docs" / "reference"
    assert not undocumented(reference)
    page = (reference / "pruning.md").read_text()
    (tmp_path / "python.md").write_text((reference / "python.md").read_text())
    (tmp_path / "configuration.md").write_text((reference / "configuration.md").read_text())
    (tmp_path / "pruning.md").write_text(page.replace("::: vitprune.pruning.Wanda\n", ""))
    assert undocumented(tmp_path) == ["vitprune.pruning.Wanda"]


def test_links_of_the_repository_become_links_of_the_site():
    assert on_page_markdown("[pages](docs/study.md#x), [all](../CHANGELOG.md)") == (
        "[pages](study.md#x), [all](changelog.md)"
    )
    assert on_page_markdown("[criteria](../src/vitprune/pruning/criteria)") == (
        "`src/vitprune/pruning/criteria`"
    )
