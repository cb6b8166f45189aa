"""A scan: equal to the naive one, resumable, and leaving no trace on the model."""

import copy
import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import Callback, Fabric
from PIL import Image
from transformers import AutoModelForImageClassification

from tests.cli.arguments import SMALL
from tests.conftest import TINY, quiet_trainer, tiny_net, tiny_swin
from tests.pruning.test_axes import CRITERIA, GRANULARITIES
from vitprune.cli.main import main
from vitprune.cli.measuring_trainer import MeasuringTrainer
from vitprune.data import ImageData, Streaming
from vitprune.data.sources import load_source
from vitprune.errors import UsageError
from vitprune.evaluation import sensitivity
from vitprune.evaluation.journal import Journal
from vitprune.evaluation.measure import DENSE, measure
from vitprune.evaluation.measuring import fingerprint
from vitprune.evaluation.one_shot import check, learn, pruned
from vitprune.evaluation.replay import Batch, record, replay
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.layers import find_layers, find_stages, stages_before
from vitprune.pruning import (
    Branch,
    Column,
    Combined,
    Element,
    FromSensitivity,
    Global,
    Head,
    IterativePruning,
    LayerSelection,
    Magnitude,
    Method,
    Movement,
    Neuron,
    NofM,
    OneShot,
    Random,
    Row,
    Taylor,
    Uniform,
    Wanda,
    masks,
)
from vitprune.training.pruning.calibration import calibrate_on

ROOT = Path(__file__).parents[2]
METHODS = [Method(c, g) for c in (Magnitude(), Random()) for g in (Element(), Row(), Column())]


def batch(images: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.randn(images, 3, 16, 16, generator=generator), torch.arange(images) % 10)


class ThreeBatches:
    """Twelve images in two chunks."""

    chunks = 2

    def in_chunks(self):
        generator = torch.Generator().manual_seed(2)
        batches = [
            Batch(torch.randn(4, 3, 16, 16, generator=generator), torch.arange(4)) for _ in range(3)
        ]
        yield batches[:2]
        yield batches[2:]


def scan(net, folder, layers, by="layer", method=METHODS[0], **options):
    groups = sensitivity.group_layers(layers, by, method.granularity)
    plan = sensitivity.plan(groups, [0.3, 0.8], method, seed=1)
    journal = Journal(folder)
    journal.open({"by": by})
    return measure(
        net, list(plan.values()), ThreeBatches(), journal, Fabric(accelerator="cpu"), **options
    )


class TestReplay:
    @pytest.mark.parametrize("family", ["vit", "deit", "dinov2", "beit"])
    def test_every_start_gives_the_logits_of_the_whole_model(self, family):
        """Bit for bit: the stages before the changed layer are answered from memory, the rest is computed."""
        net, images = tiny_net(family, num_hidden_layers=3), batch()
        stages = find_stages(net)
        assert len(stages) == 4
        with torch.no_grad():
            record(net, list(stages.values()), images)
            starts = set()
            for layer in find_layers(net):
                start = stages_before(layer, stages)
                starts.add(start)
                with pruned([layer], 0.5, METHODS[0], 0):
                    whole = net(pixel_values=images.images).logits
                    assert torch.equal(replay(net, list(stages.values()), images, start), whole)
        assert starts == {0, 1, 2, 3, 4}

    def test_blocks_of_several_stages(self):
        net, images = tiny_swin(), batch()
        stages = find_stages(net)
        assert len(stages) == 4
        with torch.no_grad():
            record(net, list(stages.values()), images)
            for layer in find_layers(net):
                with pruned([layer], 0.5, METHODS[0], 0):
                    whole = net(pixel_values=images.images).logits
                    start = stages_before(layer, stages)
                    assert torch.equal(replay(net, list(stages.values()), images, start), whole), (
                        layer.name
                    )

    def test_the_stages_before_are_not_computed(self):
        net, images, calls = tiny_net(num_hidden_layers=3), batch(), []
        stages = list(find_stages(net).values())
        record(net, stages, images)
        net.vit.layers[0].attention.register_forward_hook(lambda *_: calls.append(0))
        net.vit.layers[1].attention.register_forward_hook(lambda *_: calls.append(1))
        replay(net, stages, images, start=2)
        assert calls == [1]
        net(pixel_values=images.images)
        assert calls == [1, 0, 1]


class TestRestoration:
    def test_a_model_that_trained_goes_on_training(self, tmp_path):
        model = ViTClassifier("digits").train()
        data = ImageData("digits", "digits", num_workers=0, max_images={"validation": 8})
        pruning = IterativePruning(OneShot(0.5), Taylor(), calibration_images=8, monitor=None)
        trainer = MeasuringTrainer(
            default_root_dir=tmp_path, accelerator="cpu", logger=False, callbacks=[pruning]
        )
        trainer.sensitivity(model, data, by="role", sparsities=[0.5])
        trainer.histograms(model, data, methods=["l1_unstructured"])
        assert all(module.training for module in model.modules())

    @settings(max_examples=15, deadline=None)
    @given(
        st.sampled_from(METHODS),
        st.floats(0.01, 0.99),
        st.lists(st.integers(0, 13), min_size=1, unique=True),
    )
    def test_weights_and_masks_are_what_they_were(self, method, sparsity, chosen):
        net = tiny_net()
        layers = find_layers(net)
        masks.attach(layers[:5])  # some were pruned before
        masks.read(layers[0])[0] = False
        before = {name: value.clone() for name, value in net.state_dict().items()}
        with pruned([layers[i % len(layers)] for i in chosen], sparsity, method, 0):
            pass
        after = net.state_dict()
        assert set(after) == set(before)
        assert all(torch.equal(after[name], before[name]) for name in before)

    def test_also_after_an_error(self):
        net = tiny_net()
        before = {name: value.clone() for name, value in net.state_dict().items()}
        with pytest.raises(KeyboardInterrupt), pruned(find_layers(net), 0.5, METHODS[0], 0):
            raise KeyboardInterrupt
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.fixture(scope="module")
def learned():
    """Return a tiny classifier, its data, and each criterion with what it has learned from them."""
    model = ViTClassifier(
        architecture={"model_type": "vit", **TINY, "initializer_range": 0.3},
        labels=list("0123456789"),
    )
    data = ImageData(
        "digits", "digits", batch_size=16, num_workers=0, max_images={"train": 64, "validation": 24}
    )
    layers = LayerSelection().select(model)
    criteria = [criterion for criterion in CRITERIA if not criterion.straight_through]
    return (
        model,
        data,
        [
            (criterion, learn(criterion, model, data, layers, images=32, seed=1))
            for criterion in criteria
        ],
    )


class TestEveryMethod:
    @pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
    def test_prunes_one_group_and_restores_it(self, learned, granularity):
        model, _, criteria = learned
        layers = LayerSelection().select(model, granularity.roles)
        sparsity = {str(NofM(1, 8)): 0.875, str(Branch()): 0.9}.get(str(granularity), 0.5)
        allocation = Global() if granularity.ranked_together else Uniform()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        for group in list(sensitivity.group_layers(layers, "layer", granularity).values())[:3]:
            for criterion, statistics in criteria:
                method = Method(criterion, granularity, allocation)
                check(method, layers, [sparsity])
                with pruned(group, sparsity, method, 0, statistics):
                    zeros = sum(int((layer.weight == 0).sum()) for layer in group)
                    weights = sum(layer.weight.numel() for layer in group)
                    others = [
                        layer
                        for layer in layers
                        if layer.name not in {member.name for member in group}
                    ]
                    assert all(torch.equal(o.weight, before[f"{o.name}.weight"]) for o in others)
                assert zeros >= sparsity * weights * 0.99 - 1
                after = model.state_dict()
                assert set(after) == set(before)
                assert all(torch.equal(after[name], before[name]) for name in before)

    def test_what_was_learned_is_what_a_run_learns(self, learned, tmp_path):
        model, data, criteria = learned
        criterion, mine = next(pair for pair in criteria if isinstance(pair[0], Wanda))
        seen = {}

        class Spy(Callback):
            def on_train_start(self, trainer, pl_module):
                layers = LayerSelection().select(pl_module)
                masks.attach(layers)
                seen.update(calibrate_on(trainer, pl_module, criterion, layers, 32, 1))

        quiet_trainer(tmp_path, callbacks=[Spy()], max_steps=1, limit_val_batches=0).fit(
            copy.deepcopy(model).train(), data
        )
        assert set(seen) == set(mine)
        assert all(torch.allclose(seen[name], mine[name], rtol=1e-5) for name in mine)

    def test_what_only_works_while_training_is_refused(self):
        with pytest.raises(UsageError, match="Movement scores what training did"):
            check(Method(Movement()), find_layers(tiny_net()), [0.5])

    def test_layers_that_fall_together_are_one_group(self):
        layers = LayerSelection().select(tiny_net(), Combined([Head(), Neuron()]).roles)
        groups = sensitivity.group_layers(layers, "layer", Combined([Head(), Neuron()]))
        assert [len(members) for members in groups.values()] == [4, 4, 2, 2]
        assert set(groups) == {
            "block 0 attention",
            "block 0 mlp",
            "block 1 attention",
            "block 1 mlp",
        }
        by_role = sensitivity.group_layers(layers, "role", Combined([Head(), Neuron()]))
        assert {name: len(members) for name, members in by_role.items()} == {
            "attention": 8,
            "mlp": 4,
        }


class TestScan:
    @pytest.mark.parametrize("by", sensitivity.BY)
    @pytest.mark.parametrize(
        "method",
        METHODS,
        ids=lambda m: f"{type(m.criterion).__name__} {type(m.granularity).__name__}",
    )
    def test_equals_the_naive_scan_bit_for_bit(self, tmp_path, by, method):
        net = tiny_net(initializer_range=0.3)
        layers = LayerSelection(["query", "mlp_out", "patch_embed", "classifier"]).select(net)
        quick = scan(net, tmp_path / "quick", layers, by, method)
        naive = scan(net, tmp_path / "naive", layers, by, method, reuse_prefix=False)
        assert quick == naive
        assert len({score.loss for score in quick.values()}) > len(quick) // 2

    def test_scores_are_those_of_a_model_pruned_by_hand(self, tmp_path):
        net = tiny_net(initializer_range=0.3)
        layer = find_layers(net)[3]
        score = scan(net, tmp_path, [layer])[f"{layer.name} at 0.8"]
        weight = layer.module.weight.data
        drop = round(0.8 * weight.numel())
        weight[weight.abs() <= weight.abs().flatten().kthvalue(drop).values] = 0
        batches = [b for chunk in ThreeBatches().in_chunks() for b in chunk]
        with torch.no_grad():
            logits = torch.cat([net(pixel_values=b.images).logits for b in batches])
        labels = torch.cat([b.labels for b in batches])
        assert score.images == 12
        assert score.accuracy == (logits.argmax(1) == labels).sum() / 12
        assert score.loss == pytest.approx(
            float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-6
        )

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 40), st.booleans())
    def test_an_interrupted_scan_goes_on_as_if_nothing_had_happened(
        self, tmp_path_factory, kept, torn
    ):
        folder = tmp_path_factory.mktemp("scan")
        net = tiny_net(initializer_range=0.3)
        layers = find_layers(net)[3:7]
        whole = scan(net, folder, layers)
        journal = folder / "progress-0.jsonl"
        lines = journal.read_text().splitlines(keepends=True)
        assert len(lines) == 2 * (1 + 4 * 2)
        journal.write_text("".join(lines[:kept]) + (lines[0][:20] if torn else ""))
        assert scan(net, folder, layers) == whole
        assert (
            len(journal.read_text().splitlines()) <= len(lines) + 3
        )  # nothing twice but what was dense, or torn

    def test_the_journal_refuses_other_settings(self, tmp_path):
        Journal(tmp_path).open({"by": "layer"})
        with pytest.raises(UsageError, match="by is layer there and block now"):
            Journal(tmp_path).open({"by": "block"})

    def test_the_first_rank_writes_the_settings_once(self, tmp_path):
        Journal(tmp_path, rank=1).open({"by": "layer"})
        assert not list(tmp_path.iterdir())
        Journal(tmp_path).open({"by": "layer"})
        written = (tmp_path / "settings.json").stat()
        Journal(tmp_path).open({"by": "layer"})
        assert (tmp_path / "settings.json").stat().st_mtime_ns == written.st_mtime_ns
        assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]

    @pytest.mark.parametrize(
        ("roles", "kept"), [(["patch_embed"], 0), (["query"], 2), (["query", "classifier"], 3)]
    )
    def test_only_what_is_answered_from_memory_is_kept(self, tmp_path, monkeypatch, roles, kept):
        batches = []

        def spy(net, stages, batch):
            batches.append(batch)
            return record(net, stages, batch)

        monkeypatch.setattr("vitprune.evaluation.measure.record", spy)
        net = tiny_net()
        scan(net, tmp_path, LayerSelection(roles).select(net))
        assert {len(batch.outputs) for batch in batches} == {kept}


ARGUMENTS = [
    "--model.pretrained=digits",
    "--data.source=digits",
    "--data.max_images={validation: 40}",
    *SMALL,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the results of a scan of the embedded model."""
    root = tmp_path_factory.mktemp("root")
    ignored = [
        "--pruning.allocation=Uniform",
        "--pruning.allocation.min_density=0.3",
    ]  # for want of something to divide
    main(
        [
            "sensitivity",
            *ARGUMENTS,
            "--sparsities=[0.5,0.9]",
            *ignored,
            f"--trainer.default_root_dir={root}",
        ]
    )
    return root / "lightning_logs" / "version_0" / "sensitivity"


class TestCommand:
    def test_numbers(self, folder):
        result = json.loads((folder / "sensitivity.json").read_text())
        assert (result["metric"], result["images"], result["by"]) == ("accuracy", 40, "layer")
        assert (result["criterion"], result["granularity"]) == ("Magnitude", "Element")
        assert len(result["scan"]) == 36
        assert all(list(curve) == ["0.5", "0.9"] for curve in result["scan"].values())
        assert all(result["groups"][name] == [name] for name in result["scan"])
        rows = list(csv.DictReader((folder / "sensitivity.csv").read_text().splitlines()))
        assert len(rows) == 72
        for row in rows:
            assert float(row["accuracy"]) == result["scan"][row["group"]][row["sparsity"]]
            assert float(row["reached"]) == pytest.approx(float(row["sparsity"]), abs=1e-3)
            assert float(row["accuracy_lost"]) == pytest.approx(
                result["dense"] - float(row["accuracy"])
            )
            assert 40 * float(row["accuracy"]) == pytest.approx(round(40 * float(row["accuracy"])))

    def test_fragment_for_an_allocation(self, folder):
        fragment = yaml.safe_load((folder / "sensitivity.yaml").read_text())
        allocation = fragment["pruning"]["allocation"]
        assert allocation["class_path"] == "FromSensitivity"
        layers = LayerSelection().select(ViTClassifier("digits"))
        FromSensitivity(**allocation["init_args"]).check(layers, Element())
        main(
            [
                "fit",
                "--config=oneshot.yaml",
                f"--config={folder / 'sensitivity.yaml'}",
                *ARGUMENTS,
                "--trainer.fast_dev_run=true",
            ]
        )

    @pytest.mark.parametrize("name", ["drop_map", "by_role", "by_block"])
    def test_figures_are_not_blank(self, folder, name):
        assert_not_blank(folder / f"{name}.png")

    def test_the_same_command_goes_on_with_what_is_unfinished(self, folder, tmp_path, capsys):
        run = tmp_path / "lightning_logs" / "version_3"
        run.mkdir(parents=True)
        (run / "sensitivity").symlink_to(folder)
        result = (folder / "sensitivity.json").read_bytes()
        (folder / "sensitivity.json").unlink()
        arguments = [*ARGUMENTS, "--sparsities=[0.5,0.9]", f"--trainer.default_root_dir={tmp_path}"]
        main(["sensitivity", *arguments])
        assert "going on in" in capsys.readouterr().out
        assert (folder / "sensitivity.json").read_bytes() == result
        assert len((folder / "progress-0.jsonl").read_text().splitlines()) == 1 + 72

    def test_results_of_other_weights_are_refused(self, tmp_path, pretrained, capsys):
        arguments = [
            *ARGUMENTS,
            "--sparsities=[0.8]",
            "--by=block",
            f"--model.pretrained={pretrained}",
        ]
        arguments += [f"--data.processor={pretrained}", f"--output={tmp_path / 'scan'}"]
        main(["sensitivity", *arguments])
        main(["sensitivity", *arguments])
        net = AutoModelForImageClassification.from_pretrained(pretrained)
        net.classifier.bias.data[0] += 1
        net.save_pretrained(pretrained)
        with pytest.raises(SystemExit):
            main(["sensitivity", *arguments])
        assert re.search(
            r"results of another setting: weights is \w{16} there and \w{16} now",
            capsys.readouterr().err,
        )

    def test_results_of_other_images_are_refused(self, tmp_path, capsys):
        arguments = [*ARGUMENTS, "--sparsities=[0.8]", "--by=role", f"--output={tmp_path}"]
        main(["sensitivity", *arguments])
        for other in (
            "--data.normalization.mean=[0.1,0.1,0.1]",
            "--data.split.validation_fraction=0.2",
        ):
            with pytest.raises(SystemExit):
                main(["sensitivity", *arguments, other])
            assert "results of another setting: data is" in capsys.readouterr().err

    def test_groups(self, tmp_path):
        main(
            ["sensitivity", *ARGUMENTS, "--sparsities=[0.8]", "--by=block", f"--output={tmp_path}"]
        )
        result = json.loads((tmp_path / "sensitivity.json").read_text())
        assert list(result["groups"]) == [f"block {i}" for i in range(6)]
        assert all(len(layers) == 6 for layers in result["groups"].values())
        assert_not_blank(tmp_path / "drop_map.png")

    @pytest.mark.parametrize(
        ("extra", "message"),
        [
            (["--sparsitys=[0.5]"], "Did you mean --sparsities?"),
            (["--by=head"], "by layer, block, role, not by 'head'"),
            (["--sparsities=[0.5,1.5]"], "between 0 and 1, not [0.5, 1.5]"),
            (
                ["--config=iterative.yaml", "--pruning.layers.roles=[querry]"],
                "valid are query, key",
            ),
            (
                ["--config=iterative.yaml", "--pruning.layers.names=[foo]"],
                "matches no layer. The model has",
            ),
            (["--data.source=null"], "data.source is not set"),
        ],
    )
    def test_bad_input(self, tmp_path, capsys, extra, message):
        with pytest.raises(SystemExit) as stopped:
            main(["sensitivity", *ARGUMENTS, f"--output={tmp_path}", *extra])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


def assert_not_blank(path):
    image = np.asarray(Image.open(path).convert("L"))
    assert min(image.shape) > 200
    assert image.std() > 5
    assert (image < 128).mean() > 0.001


def test_every_panel_of_a_figure_has_its_own_rows_and_curves():
    layers = LayerSelection(["query", "mlp_in", "patch_embed", "classifier"]).select(
        tiny_net(num_hidden_layers=9)
    )
    names = [layer.name for layer in layers]
    result = {
        "dense": 0.9,
        "by": "layer",
        "scan": {name: {"0.5": 0.8, "0.9": 0.1} for name in names},
        "reached": {name: {"0.5": 0.5, "0.9": 0.9} for name in names},
        "places": {layer.name: sensitivity.place_of([layer]) for layer in layers},
    }
    figures = sensitivity.draw(result)
    panels = {axes.get_title(): axes for axes in figures["drop_map"].axes}
    for title, rows in (("query", 9), ("mlp_in", 9), (sensitivity.OUTSIDE, 2)):
        assert len(panels[title].get_yticklabels()) == rows
        assert np.allclose(panels[title].images[0].get_array(), [[10, 80]] * rows)
    curves = {
        axes.get_title(): len(axes.lines) - 1
        for axes in figures["by_block"].axes
        if axes.get_title()
    }
    assert curves == {**{f"block {i}": 2 for i in range(9)}, sensitivity.OUTSIDE: 2}


def test_two_processes_share_the_work_and_find_the_same(folder, tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--rdzv-backend=c10d",
    ]
    command += [
        "--rdzv-endpoint=127.0.0.1:0",
        str(ROOT / "scripts" / "train.py"),
        "sensitivity",
        *ARGUMENTS,
    ]
    command += ["--sparsities=[0.5,0.9]", "--trainer.devices=2", f"--output={tmp_path}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    single, shared = (
        json.loads((path / "sensitivity.json").read_text()) for path in (folder, tmp_path)
    )
    assert shared["scan"] == single["scan"]
    assert shared["loss"] == single["loss"]
    shares = [
        len((tmp_path / f"progress-{rank}.jsonl").read_text().splitlines()) for rank in range(2)
    ]
    assert shares == [1 + 36, 1 + 36]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_bit_of_weights_and_masks_counts(dtype):
    net = tiny_net().to(dtype)
    net.register_buffer("counter", torch.tensor(0))
    prints = [fingerprint(net), fingerprint(copy.deepcopy(net))]
    assert prints[0] == prints[1]
    net.classifier.bias.data[0] = -net.classifier.bias.data[0]
    prints.append(fingerprint(net))
    masks.attach(find_layers(net))
    prints.append(fingerprint(net))
    masks.read(find_layers(net)[0])[0] = False
    prints.append(fingerprint(net))
    assert len(set(prints)) == 4


def test_dense_is_measured_too(tmp_path):
    net = tiny_net()
    assert scan(net, tmp_path, find_layers(net)[:1])[DENSE].images == 12


def test_criteria_learn_from_the_first_images_of_a_stream(tmp_path):
    for split, images in load_source("digits").items():
        images.to_parquet(tmp_path / f"{split}.parquet")
    data = ImageData(str(tmp_path), "digits", streaming=Streaming(), num_workers=0)
    assert len(data.calibration_dataloader().dataset) < len(data.splits["train"])
    model = ViTClassifier("digits")
    layers = LayerSelection(blocks=[0], roles=["query"]).select(model)
    learned = learn(Wanda(), model, data, layers, images=64, seed=42)
    assert [value.shape for value in learned.values()] == [layers[0].module.weight.shape[1:]]
