"""Sweeps, histograms, comparisons and reports, as a user asks for them."""

import csv
import json
import re
import shutil
import statistics
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import tiny_net, tiny_swin
from tests.evaluation.test_sensitivity import ARGUMENTS, assert_not_blank
from vitprune.cli.folder_commands import short_names
from vitprune.cli.main import main
from vitprune.evaluation import histograms, sensitivity, sweep, tables
from vitprune.figures.heads import head_densities
from vitprune.figures.plots import plot_density
from vitprune.figures.run import figures_of
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import LayerSelection
from vitprune.reports import page as page_module
from vitprune.reports import report
from vitprune.reports.compare import Row, plot_comparison, read_folder
from vitprune.reports.confusion import Predictions

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FIT = [
    "--data.max_images={train: 128, validation: 64}",
    "--data.batch_size=32",
    "--trainer.max_epochs=2",
]


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return a folder with a one-shot run, an iterative run with a scan, and a sweep."""
    root = tmp_path_factory.mktemp("root")
    small = [*ARGUMENTS, *FIT, f"--trainer.default_root_dir={root}"]
    main(["fit", "--config=oneshot.yaml", *small])
    levels = "{class_path: Levels, init_args: {levels: [0.4, 0.7], every_n_epochs: 1}}"
    main(
        [
            "fit",
            "--config=iterative.yaml",
            *small,
            "--trainer.max_epochs=3",
            f"--pruning.schedule={levels}",
        ]
    )
    runs = root / "lightning_logs"
    last = runs / "version_1" / "checkpoints" / "last.ckpt"
    scan = ["--by=block", "--sparsities=[0.9]", f"--ckpt_path={last}"]
    main(["sensitivity", *ARGUMENTS, "--data.batch_size=32", *scan])
    methods = "{a: {criterion: Random}, b: {criterion: Magnitude, granularity: Row}}"
    main(
        [
            "sweep",
            *small[:-2],
            small[-1],
            "--sparsities=[0.9,0.3]",
            "--seeds=2",
            f"--methods={methods}",
        ]
    )
    return runs


class TestSweep:
    def test_numbers(self, root):
        result = json.loads((root / "version_2" / "sweep" / "sweep.json").read_text())
        assert {name: sorted(m["accuracy"]) for name, m in result["methods"].items()} == {
            "a": ["0.3", "0.9"],
            "b": ["0.3", "0.9"],
        }
        assert [len(v) for v in result["methods"]["a"]["accuracy"].values()] == [2, 2]
        assert [len(v) for v in result["methods"]["b"]["accuracy"].values()] == [1, 1]
        rows = rows_of(root / "version_2" / "sweep" / "sweep.csv")
        assert len(rows) == 2 * 2 + 2
        assert {row["seed"] for row in rows} == {"42", "43"}
        for row in rows:
            assert (
                float(row["accuracy"])
                in result["methods"][row["method"]]["accuracy"][row["sparsity"]]
            )

    def test_the_printed_table_has_the_means(self, root, capsys):
        result = json.loads((root / "version_2" / "sweep" / "sweep.json").read_text())
        tables.print_table(sweep.table(result))
        out = capsys.readouterr().out
        for name, method in result["methods"].items():
            means = [
                100 * statistics.mean(method["accuracy"][sparsity]) for sparsity in ("0.3", "0.9")
            ]
            assert re.search(rf"{name}\W+{means[0]:.1f}\W+{means[1]:.1f}\W", out), out

    def test_the_printed_scan_begins_with_what_loses_most(self, root, capsys):
        result = json.loads((root / "version_1" / "sensitivity" / "sensitivity.json").read_text())
        tables.print_table(sensitivity.most_sensitive(result))
        shown = [
            float(number)
            for number in re.findall(r"│\s+(\d+\.\d) │$", capsys.readouterr().out, re.MULTILINE)
        ]
        assert shown == sorted(round(100 * curve["0.9"], 1) for curve in result["scan"].values())

    def test_a_pruned_checkpoint_is_shown_at_the_sparsity_it_has(self, root, tmp_path, capsys):
        last = root / "version_1" / "checkpoints" / "last.ckpt"
        small = [*ARGUMENTS, f"--ckpt_path={last}", f"--output={tmp_path}"]
        main(["sweep", *small, "--sparsities=[0.3,0.9]", "--methods={a: {criterion: Magnitude}}"])
        assert re.search(r"what was\s+reached is up to 40\s+points off", capsys.readouterr().out)
        result = json.loads((tmp_path / "sweep.json").read_text())["methods"]["a"]
        assert result["reached"] == pytest.approx({"0.3": 0.7, "0.9": 0.9}, abs=1e-3)
        assert result["accuracy"]["0.3"] == [
            json.loads((tmp_path / "sweep.json").read_text())["dense"]
        ]
        assert [row.sparsity for row in read_folder(tmp_path, "a")] == list(
            result["reached"].values()
        )

    def test_of_many_rounds_the_table_has_some_and_the_last(self):
        done = {
            "epoch": 0,
            "target": 0.5,
            "sparsity": 0.5,
            "accuracy_pruned": None,
            "accuracy_finetuned": None,
        }
        for count, shown in ((0, 0), (1, 1), (20, 20), (4500, 21)):
            rows = tables.round_rows([{"round": number + 1, **done} for number in range(count)])
            assert len(rows) <= max(shown, 0)
            assert [row[0] for row in (rows[:1] + rows[-1:])] == ["1", str(count)][
                : 2 * bool(count)
            ]

    @pytest.mark.parametrize("name", ["sweep", "a", "b"])
    def test_figures_are_not_blank_and_in_tensorboard(self, root, name):
        folder = root / "version_2" / "sweep"
        assert_not_blank(folder / f"{name}.png")
        assert f"sweep/{name}" in EventAccumulator(str(folder)).Reload().Tags()["images"]

    @pytest.mark.parametrize(
        ("extra", "message"),
        [
            (
                "--methods={a: {criterion: Magnitud}}",
                "'Magnitud' is not known. Did you mean Magnitude?",
            ),
            (
                "--methods=[l2_structured]",
                "there is no method 'l2_structured'; the usual ones are random_unstructured, l1_",
            ),
            ("--methods={a/b: {criterion: Magnitude}}", "becomes that of a file"),
            ("--methods={a: {criterion: Movement}}", "Movement scores what training did"),
            ("--seeds=0", "at least one seed"),
        ],
    )
    def test_bad_input(self, tmp_path, capsys, extra, message):
        with pytest.raises(SystemExit):
            main(["sweep", *ARGUMENTS, f"--output={tmp_path}", extra])
        assert message in capsys.readouterr().err


class TestHistograms:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 500), st.integers(1, 500), st.floats(1e-3, 1e3))
    def test_counts_and_zeros_come_to_all_weights(self, zeros, others, scale):
        weight = scale * torch.randn(others, generator=torch.Generator().manual_seed(others))
        weight[weight == 0] = scale
        before = torch.cat([weight, torch.full((zeros,), scale)])
        after = torch.cat([weight, torch.zeros(zeros)])
        found = histograms.count({"before": before, "after": after})
        assert found["before"].weights == found["after"].weights == zeros + others
        assert (found["before"].zeros, found["after"].zeros) == (0, zeros)
        assert np.array_equal(found["before"].edges, found["after"].edges)

    def test_command(self, root, tmp_path):
        export = root / "version_0" / "export"
        layer = "net.vit.layers.5.mlp.fc2"
        main(
            [
                "histograms",
                *ARGUMENTS,
                f"--names=[{layer}]",
                "--sparsity=0.25",
                f"--finetuned={export}",
                f"--output={tmp_path}",
            ]
        )
        rows = rows_of(tmp_path / "histograms.csv")
        states = {row["state"]: 0 for row in rows}
        zeros = {row["state"]: int(row["weights"]) for row in rows if row["low"] == row["high"]}
        for row in rows:
            states[row["state"]] += int(row["weights"])
        assert set(states.values()) == {64 * 128}
        assert zeros["before"] == 0
        assert zeros["l1_unstructured"] == zeros["random_structured"] == 64 * 128 // 4
        assert zeros["after fine-tuning"] == pytest.approx(
            0.8 * 64 * 128, abs=1
        )  # the total over the layers is exact
        assert_not_blank(tmp_path / f"{layer}.png")


class TestCompare:
    def test_table_and_figure(self, root, tmp_path, capsys):
        main(["compare", *(str(root / f"version_{i}") for i in range(3)), f"--output={tmp_path}"])
        rows = rows_of(tmp_path / "compare.csv")
        assert [row["kind"] for row in rows] == ["one-shot", "iterative", *["no fine-tuning"] * 4]
        for row, version, epochs in zip(rows, (0, 1), (2, 3), strict=False):
            report = json.loads(
                (root / f"version_{version}" / "export" / "report.json").read_text()
            )
            assert float(row["accuracy"]) == report["pruned"]["accuracy"]
            assert float(row["sparsity"]) == report["sparsity"]["prunable"]
            assert int(row["images_seen"]) == 128 * epochs
        assert float(rows[0]["accuracy_pruned"]) < float(rows[0]["accuracy_dense"])
        assert rows[1]["accuracy_pruned"] == ""
        assert_not_blank(tmp_path / "compare.png")
        out = capsys.readouterr().out
        assert "unequal budgets: 256, 384 images seen" in out
        assert "different images" not in out

    def test_a_run_and_the_sweep_in_its_folder(self, root, tmp_path):
        shutil.copytree(root / "version_0", tmp_path / "run")
        shutil.copytree(root / "version_2" / "sweep", tmp_path / "run" / "sweep")
        assert [row.name for row in read_folder(tmp_path / "run", "r")] == [
            "r",
            "r/a",
            "r/a",
            "r/b",
            "r/b",
        ]
        assert {row.kind for row in read_folder(tmp_path / "run" / "sweep", "r")} == {
            "no fine-tuning"
        }

    def test_latency_is_taken_from_a_benchmark(self, root, tmp_path):
        run = tmp_path / "run"
        shutil.copytree(root / "version_0", run)
        report = json.loads((run / "export" / "report.json").read_text())
        models = [{"name": "export", "latency_ms": 9.0}, {"name": "run/export", "latency_ms": 4.5}]
        report["benchmark"] = {"export": "run/export", "models": models}
        (run / "export" / "report.json").write_text(json.dumps(report))
        main(["compare", str(run), str(root / "version_1"), f"--output={tmp_path}"])
        assert [row["latency_ms"] for row in rows_of(tmp_path / "compare.csv")] == ["4.5", ""]

    def test_runs_of_one_name_are_told_apart_by_what_is_above_them(self, root, tmp_path):
        for place, version in (("a", 0), ("b", 1)):
            shutil.copytree(root / f"version_{version}", tmp_path / place / "version_0")
        shutil.copytree(root / "version_2" / "sweep", tmp_path / "a" / "version_0" / "sweep")
        main(
            [
                "compare",
                *(str(tmp_path / place / "version_0") for place in "ab"),
                f"--output={tmp_path}",
            ]
        )
        assert [(row["name"], row["kind"]) for row in rows_of(tmp_path / "compare.csv")] == [
            ("a/version_0", "one-shot"),
            *[(f"a/version_0/{method}", "no fine-tuning") for method in "aabb"],
            ("b/version_0", "iterative"),
        ]

    def test_names_are_as_short_as_they_can_be(self):
        names = {
            "/x/a/version_0": "x/a/version_0",
            "/y/a/version_0": "y/a/version_0",
            "/x/b/version_1": "version_1",
        }
        assert short_names([Path(path) for path in names]) == {
            Path(path): name for path, name in names.items()
        }
        nested = {"/run": "/run", "/x/run": "x/run"}
        assert short_names([Path(path) for path in nested]) == {
            Path(path): name for path, name in nested.items()
        }

    def test_a_figure_of_rows_of_which_not_all_were_scored_before_fine_tuning(self):
        row = Row("run", "one-shot", 1, "digits", 0.5, 0.4, 0.9, 0.5, 0.8, 10, 1.0)
        figure = plot_comparison([row, replace(row, sparsity=0.8, accuracy_pruned=None)])
        before = next(
            line for line in figure.axes[0].lines if line.get_label() == "run: just after pruning"
        )
        assert before.get_xydata().tolist() == [[50, 50]]

    def test_folders_without_a_result_are_left_out(self, root, tmp_path, capsys):
        stopped = tmp_path / "stopped"
        (stopped / "checkpoints").mkdir(parents=True)
        main(
            [
                "compare",
                str(stopped),
                str(root / "version_0"),
                str(root / "version_9"),
                f"--output={tmp_path}",
            ]
        )
        assert [row["name"] for row in rows_of(tmp_path / "compare.csv")] == ["version_0"]
        left_out = [
            line for line in capsys.readouterr().out.splitlines() if line.startswith("left out: ")
        ]
        assert left_out == [
            f"left out: {folder} is no finished run and no sweep (it has no export/report.json)"
            for folder in (stopped, root / "version_9")
        ]

    @pytest.mark.parametrize("command", ["compare", "report"])
    def test_a_folder_that_is_no_run(self, tmp_path, capsys, command):
        with pytest.raises(SystemExit) as stopped:
            main([command, str(tmp_path)])
        assert stopped.value.code == 2
        error = capsys.readouterr().err
        assert str(tmp_path) in error
        assert "has no " in error
        assert "export/report.json" in error

    def test_an_unknown_option(self, tmp_path, capsys):
        with pytest.raises(SystemExit):
            main(["compare", str(tmp_path), "--outputs=x"])
        assert "--output" in capsys.readouterr().err


class Page(HTMLParser):
    """Collects headings and whatever refers to something outside, and checks that tags are balanced."""

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
    def test_it_is_whole_and_self_contained(self, root):
        page = Page(report_of(root))
        assert page.headings == [
            "version_1: digits, pruned",
            "Before and after",
            "Over time",
            "Where the weights are",
            "How the weights are distributed",
            "Sensitivity by block",
            "What pruning confuses",
            "Settings",
        ]
        assert page.images == 6
        assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
        assert not re.search(r"url\(|@import|<script|<link", report_of(root))

    def test_it_says_what_the_run_was(self, root):
        text = report_of(root)
        report = json.loads((root / "version_1" / "export" / "report.json").read_text())
        assert f"{report['pruned']['accuracy']:.2%}" in text
        assert f"{report['pruned']['nonzero_parameters']:,}" in text
        assert "Levels (levels [0.4, 0.7]" in text

    def test_histograms_of_the_dense_and_the_pruned_model_as_numbers(self, root):
        report_of(root)
        rows = rows_of(root / "version_1" / "report_histograms.csv")
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
        report = json.loads((root / "version_1" / "export" / "report.json").read_text())
        prunable = 6 * (4 * 64 * 64 + 2 * 64 * 128)
        assert zeros == [0, round(report["sparsity"]["prunable"] * prunable)]

    def test_without_data_it_says_what_is_missing(self, root, tmp_path):
        run = tmp_path / "run"
        shutil.copytree(root / "version_1", run)
        config = yaml.safe_load((run / "config.yaml").read_text())
        without_dense = (
            "Not known without the dense model, which the run began with: it cannot be read here"
        )
        for section, changes, message in (
            ("data", {"source": "/nowhere"}, "Not known: the data cannot be read here"),
            ("model", {"pretrained": "/nowhere"}, without_dense),
            ("model", {"pretrained": None, "architecture": {"model_type": "vit"}}, without_dense),
        ):
            config[section] |= changes
            (run / "config.yaml").write_text(yaml.safe_dump(config))
            main(["report", str(run)])
            assert message in (run / "report.html").read_text()

    @pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here")
    @pytest.mark.parametrize("width", [1280, 500])
    def test_a_browser_shows_it_without_the_page_scrolling_sideways(self, root, tmp_path, width):
        source = report_of(root)
        probe = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth + ', ' + \
            [...document.images].filter(i => i.complete && i.naturalWidth > 0).length + ' images'</script>"
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


def report_of(root) -> str:
    """Return the report of the iterative run, written once."""
    path = root / "version_1" / "report.html"
    if not path.exists():
        main(["report", str(path.parent), "--images=64"])
    return path.read_text()


def test_a_model_of_other_classes_is_not_asked_what_it_confuses():
    page = page_module.Page("", "")
    report._confusion(page, {}, tiny_net(classes=10), tiny_net(classes=7), images=10)
    assert "has other classes, and got a new classifier" in page.html()


def test_confusion_counts_only_what_pruning_did():
    found = Predictions([0, 0, 0, 1, 1], [0, 0, 1, 1, 0], [1, 1, 1, 1, 1], ["cat", "dog"])
    assert [(c.name, c.images, c.dense, c.pruned) for c in found.class_changes()] == [
        ("cat", 3, 2 / 3, 0.0),
        ("dog", 2, 0.5, 1.0),
    ]
    assert found.new_confusions() == [("cat", "dog", 2)]


def test_columns_of_densities_are_blocks_behind_their_stages():
    figure = plot_density({layer.name: 0.5 for layer in find_layers(tiny_swin())})
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        "-",
        "0.0",
        "0.1",
        "1.0",
    ]
    figure = plot_density(
        {layer.name: 0.5 for layer in LayerSelection(blocks=[1]).select(tiny_net())}
    )
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1"]


@pytest.mark.parametrize("accuracy", [0.5, None])
def test_what_is_drawn_as_accuracy_is_one(tmp_path, accuracy):
    scalars = [
        (0, "epoch", 0),
        (3, "epoch", 0),
        (3, "val/accuracy", 0.9),
        (1, "round/after_pruning", 2.3),
    ]
    (tmp_path / "metrics.csv").write_text(
        "step,metric,value\n" + "".join(f"{s},{n},{v}\n" for s, n, v in scalars)
    )
    report = {
        "base": {"accuracy": 0.9},
        "rounds": [{"accuracy_pruned": accuracy}],
        "sparsity": {"layers": {}},
    }
    labels = [
        line.get_label() for line in figures_of(report, tmp_path)["training"].axes[0].get_lines()
    ]
    assert ("just after pruning" in labels) == (accuracy is not None)


def test_density_of_heads():
    net = tiny_net()
    attention = net.vit.layers[1].attention
    with torch.no_grad():
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
            projection.weight[16:] = 0  # the second of two heads
        attention.o_proj.weight[:, 16:] = 0
        attention.q_proj.weight[0] = 0
    densities = head_densities(find_layers(net))
    assert densities[0] == [1.0, 1.0]
    assert densities[1] == pytest.approx([1 - 32 / (4 * 16 * 32), 0.0])
