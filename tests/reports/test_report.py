"""The subcommand report."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.files import rows_of
from vitprune.cli.main import main

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Collect headings and references to the outside, and check that tags are balanced."""

    VOID = {"meta", "img", "br", "link"}

    def __init__(self, text):
        super().__init__()
        self.open, self.headings, self.references, self.images = [], [], [], 0
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.references += [
            value for name, value in attributes if name in ("src", "href", "srcset", "data")
        ]
        self.images += tag == "img"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


class TestReport:
    def test_it_is_complete_and_self_contained(self, logs):
        page = Page(report_of(logs))
        assert page.headings == [
            "version_1: digits, pruned",
            "Before and after",
            "Training",
            "Density",
            "Distribution of the weights",
            "Sensitivity by block",
            "Confusions",
            "Settings",
        ]
        assert page.images == 6
        assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
        assert not re.search(r"url\(|@import|<script|<link", report_of(logs))

    def test_it_has_the_numbers_and_settings_of_the_run(self, logs):
        text = report_of(logs)
        report = json.loads((logs / "version_1" / "export" / "report.json").read_text())
        assert f"{report['pruned']['accuracy']:.2%}" in text
        assert f"{report['pruned']['nonzero_parameters']:,}" in text
        assert "Levels (levels [0.4, 0.7]" in text

    def test_histograms_of_the_dense_and_the_pruned_model_as_numbers(self, logs):
        report_of(logs)
        rows = rows_of(logs / "version_1" / "report_histograms.csv")
        dense, pruned = (
            [row for row in rows if row["state"].startswith(state)] for state in ("dense", "pruned")
        )
        for states in (dense, pruned):
            assert (
                sum(int(row["weights"]) for row in states if row["layer"] == "mlp_in")
                == 6 * 64 * 128
            )
        edges = [
            [(row["layer"], row["low"], row["high"]) for row in states]
            for states in (dense, pruned)
        ]
        assert edges[0] == edges[1]
        zeros = [
            sum(int(row["weights"]) for row in states if row["low"] == row["high"])
            for states in (dense, pruned)
        ]
        report = json.loads((logs / "version_1" / "export" / "report.json").read_text())
        prunable = 6 * (4 * 64 * 64 + 2 * 64 * 128)
        assert zeros == [0, round(report["sparsity"]["prunable"] * prunable)]

    @pytest.mark.slow
    def test_missing_data_and_models_are_named(self, logs, tmp_path):
        run = tmp_path / "run"
        shutil.copytree(logs / "version_1", run)
        config = yaml.safe_load((run / "config.yaml").read_text())
        without_dense = "The dense model is not available: it cannot be loaded here"
        for section, changes, message in (
            ("data", {"source": "/nowhere"}, "Not available: the data cannot be read here"),
            ("model", {"pretrained": "/nowhere"}, without_dense),
            ("model", {"pretrained": None, "architecture": {"model_type": "vit"}}, without_dense),
        ):
            config[section]["init_args"] |= changes
            (run / "config.yaml").write_text(yaml.safe_dump(config))
            main(["report", str(run)])
            assert message in (run / "report.html").read_text()

    @pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here")
    @pytest.mark.parametrize("width", [1280, 500])
    def test_a_browser_shows_it_without_the_page_scrolling_sideways(self, logs, tmp_path, width):
        source = report_of(logs)
        probe = (
            "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth "
            "+ ', ' + [...document.images].filter(i => i.complete && i.naturalWidth > 0).length "
            "+ ' images'</script>"
        )
        path = tmp_path / "report.html"
        path.write_text(source.replace("</body>", f"{probe}</body>"))
        command = [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ]
        command += [
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ]
        command += [
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},2000",
            "--dump-dom",
        ]
        command += [f"--screenshot={tmp_path / 'page.png'}"]
        dom = subprocess.run(
            [*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
        ).stdout
        scrolled, inner, images = map(
            int, re.search(r"<title>(\d+) of (\d+), (\d+) images", dom).groups()
        )
        assert scrolled <= inner == width
        assert images == 6
        shown = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
        assert shown.shape == (2000, width)
        assert shown.std() > 20


def report_of(logs) -> str:
    """Return the report of the iterative run, written once."""
    path = logs / "version_1" / "report.html"
    if not path.exists():
        main(["report", str(path.parent), "--images=64"])
    return path.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--images=-1"], "--images must be at least 0, not -1."),
        (["other", "--output=x.html"], "--output names the page of a single run"),
    ],
)
def test_options_of_report_that_are_not_valid(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit) as stopped:
        main(["report", str(tmp_path), *options])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
