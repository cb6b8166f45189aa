"""A scan: equal to the naive one, resumable, and leaving no trace on the model."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import Fabric
from PIL import Image

from tests.conftest import tiny_net
from tests.test_cli import SMALL
from vitprune.analysis import sensitivity
from vitprune.analysis.journal import Journal
from vitprune.analysis.measure import DENSE, measure
from vitprune.analysis.one_shot import Method, pruned
from vitprune.analysis.replay import Batch, record, replay
from vitprune.cli import main
from vitprune.errors import UsageError
from vitprune.model.layers import find_layers, find_stages, stages_before
from vitprune.pruning import Column, Element, LayerSelection, Magnitude, Random, Row, masks

METHODS = [Method(c, g) for c in (Magnitude(), Random()) for g in (Element(), Row(), Column())]


def batch(images: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.randn(images, 3, 16, 16, generator=generator), torch.arange(images) % 10)


class ThreeBatches:
    """Twelve images in two chunks."""

    chunks = 2

    def in_chunks(self):
        generator = torch.Generator().manual_seed(2)
        batches = [Batch(torch.randn(4, 3, 16, 16, generator=generator), torch.arange(4)) for _ in range(3)]
        yield batches[:2]
        yield batches[2:]


def scan(net, folder, layers, by="layer", method=METHODS[0], **options):
    groups = sensitivity.group_layers(layers, by)
    plan = sensitivity.plan(groups, [0.3, 0.8], method, seed=1)
    journal = Journal(folder)
    journal.open({"by": by})
    return measure(net, list(plan.values()), ThreeBatches(), journal, Fabric(accelerator="cpu"), **options)


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
    @settings(max_examples=15, deadline=None)
    @given(st.sampled_from(METHODS), st.floats(0.01, 0.99), st.lists(st.integers(0, 13), min_size=1, unique=True))
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


class TestScan:
    @pytest.mark.parametrize("by", sensitivity.BY)
    @pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{type(m.criterion).__name__} {type(m.granularity).__name__}")
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
        assert score.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-6)

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 40), st.booleans())
    def test_an_interrupted_scan_goes_on_as_if_nothing_had_happened(self, tmp_path_factory, kept, torn):
        folder = tmp_path_factory.mktemp("scan")
        net = tiny_net(initializer_range=0.3)
        layers = find_layers(net)[3:7]
        whole = scan(net, folder, layers)
        journal = folder / "progress-0.jsonl"
        lines = journal.read_text().splitlines(keepends=True)
        assert len(lines) == 2 * (1 + 4 * 2)
        journal.write_text("".join(lines[:kept]) + (lines[0][:20] if torn else ""))
        assert scan(net, folder, layers) == whole
        assert len(journal.read_text().splitlines()) <= len(lines) + 3  # nothing twice but what was dense, or torn

    def test_the_journal_refuses_other_settings(self, tmp_path):
        Journal(tmp_path).open({"by": "layer"})
        with pytest.raises(UsageError, match="by is layer there and block now"):
            Journal(tmp_path).open({"by": "block"})


ARGUMENTS = ["--model.pretrained=digits", "--data.source=digits", "--data.max_images={validation: 40}", *SMALL]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the results of a scan of the embedded model."""
    root = tmp_path_factory.mktemp("root")
    main(["sensitivity", *ARGUMENTS, "--sparsities=[0.5,0.9]", f"--trainer.default_root_dir={root}"])
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
            assert float(row["accuracy_lost"]) == pytest.approx(result["dense"] - float(row["accuracy"]))
            assert 40 * float(row["accuracy"]) == pytest.approx(round(40 * float(row["accuracy"])))

    def test_fragment_for_an_allocation(self, folder):
        fragment = yaml.safe_load((folder / "sensitivity.yaml").read_text())
        allocation = fragment["pruning"]["allocation"]
        assert allocation["class_path"] == "FromSensitivity"
        assert json.loads(Path(allocation["init_args"]["path"]).read_text())["by"] == "layer"

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

    def test_groups(self, tmp_path):
        main(["sensitivity", *ARGUMENTS, "--sparsities=[0.8]", "--by=block", f"--output={tmp_path}"])
        result = json.loads((tmp_path / "sensitivity.json").read_text())
        assert list(result["groups"]) == [f"block {i}" for i in range(6)]
        assert all(len(layers) == 6 for layers in result["groups"].values())
        assert_not_blank(tmp_path / "drop_map.png")

    @pytest.mark.parametrize(
        ("extra", "message"),
        [
            (["--by=head"], "by layer, block, role, not by 'head'"),
            (["--sparsities=[0.5,1.5]"], "between 0 and 1, not [0.5, 1.5]"),
            (["--config=iterative.yaml", "--pruning.layers.roles=[querry]"], "valid are query, key"),
            (["--config=iterative.yaml", "--pruning.layers.names=[foo]"], "matches no layer. The model has"),
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


def test_dense_is_measured_too(tmp_path):
    net = tiny_net()
    assert scan(net, tmp_path, find_layers(net)[:1])[DENSE].images == 12
