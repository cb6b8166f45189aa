"""The exported folder is the masked model, for anyone who has never heard of this package."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForImageClassification, ViTImageProcessor

import vitprune
from tests.checkpoints import read_raw
from tests.conftest import TINY, quiet_trainer, tiny_net
from vitprune.benchmark.candidates import image_shape
from vitprune.data import Augmentation, ImageData
from vitprune.errors import UsageError
from vitprune.export import export_checkpoint
from vitprune.export.card import model_card
from vitprune.export.export import CPU, Choices, load_masked, write_weights
from vitprune.export.report import describe_run
from vitprune.export.shrinkage import count
from vitprune.export.verify import logits
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.layers import find_layers
from vitprune.model.distillation import Distillation
from vitprune.model.loading import net_from_config
from vitprune.pruning import (
    Branch,
    Combined,
    Cubic,
    Element,
    Global,
    Head,
    HeadDim,
    IterativePruning,
    LayerSelection,
    Magnitude,
    Neuron,
    OneShot,
    Row,
    Uniform,
    masks,
)
from vitprune.pruning.sparsity import measure
from vitprune.runs.metrics import MetricsCSV
from vitprune.runs.run_folder import RunFolder
from vitprune.training.checkpoints import RunCheckpoints

PLAIN = """
import json, os, sys, torch
sys.modules["vitprune"] = None  # as if it were not installed
from transformers import AutoImageProcessor, AutoModelForImageClassification, ViTForImageClassification
from PIL import Image
torch.set_num_threads(1)  # as the test does: another number rounds differently
image, *folders = sys.argv[1:]
all_logits = []
for folder in folders:
    processor, model = AutoImageProcessor.from_pretrained(folder), AutoModelForImageClassification.from_pretrained(folder)
    if model.config.model_type == "vit":
        assert isinstance(ViTForImageClassification.from_pretrained(folder), ViTForImageClassification)
    inputs = processor(Image.open(image), return_tensors="pt")
    with torch.no_grad():
        as_loaded = model(**inputs).logits
        for parameter in model.parameters():  # a mapped file is not aligned like fresh memory, which moves the last bit
            parameter.data = parameter.data.clone()
        out = model(**inputs).logits
        if os.path.exists(program := folder + "/model.pt2"):
            assert torch.allclose(torch.export.load(program).module()(inputs["pixel_values"]), out, atol=1e-5)
    assert torch.allclose(as_loaded, out, atol=1e-6)
    all_logits.append(out.tolist())
print(json.dumps(all_logits))
"""
UNEVEN = Combined([Head(), Neuron()])


def train(folder, pretrained, schedule=None, max_epochs=3, distillation=None, **pruning_options):
    torch.manual_seed(0)
    labels = [str(d) for d in range(10)]
    model = ViTClassifier(
        str(pretrained), labels=labels, learning_rate=1e-3, distillation=distillation
    )
    data = ImageData(
        "digits",
        str(pretrained),
        batch_size=32,
        num_workers=0,
        max_images={"train": 96, "validation": 50},
    )
    pruning = IterativePruning(schedule or Cubic(0.8, end=1), **pruning_options)
    callbacks = [pruning, RunCheckpoints()]
    trainer = quiet_trainer(
        folder,
        callbacks=callbacks,
        enable_checkpointing=True,
        max_epochs=max_epochs,
        logger=[MetricsCSV(RunFolder(folder))],
    )
    trainer.fit(model, data)
    return model, data


def export(folder, model, data, which="last", **choices):
    checkpoint = read_raw(folder / "checkpoints" / f"{which}.ckpt")
    chosen = Choices(**choices)
    return checkpoint, export_checkpoint(
        checkpoint,
        model.net.config,
        data,
        folder / "export",
        CPU,
        folder,
        seed=42,
        is_best=which == "best",
        choices=chosen,
    )


@pytest.fixture
def exported(tmp_path, pretrained):
    model, data = train(tmp_path, pretrained)
    return tmp_path, data, *export(tmp_path, model, data)


def test_a_process_without_this_package_gets_the_same_logits(exported, tmp_path, pretrained):
    folder, data, checkpoint, report = exported
    structured = tmp_path / "structured"
    model, _ = train(
        structured, pretrained, OneShot(0.4), 1, allocation=Global(), granularity=UNEVEN
    )
    structured_checkpoint, structured_report = export(structured, model, data, formats=["pt2"])
    image = tmp_path / "images" / "image.png"
    image.parent.mkdir()
    Image.effect_noise((30, 20), 80).save(image)  # a grey one
    folders = [str(folder / "export"), str(structured / "export")]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", PLAIN, str(image), *folders],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    data.predict_images = str(image.parent)
    pixels = data.prepare(next(iter(data.predict_dataloader())), torch.device("cpu"))[
        "pixel_values"
    ]
    same, close = json.loads(result.stdout)
    assert same == logits(load_masked(checkpoint, model.net.config), pixels).tolist()
    expected = logits(load_masked(structured_checkpoint, model.net.config), pixels)
    torch.testing.assert_close(torch.tensor(close), expected, rtol=0, atol=1e-5)
    assert structured_report["shrunk"]["dropped_parameters"] > 0
    assert structured_report["pruned"]["parameters"] < structured_report["base"]["parameters"]


@pytest.mark.parametrize("family", ["clip_vision", "siglip_vision"])
def test_an_image_tower_of_a_model_of_image_and_text_is_trained_and_exported(tmp_path, family):
    """Its configuration has widths and image size one level down."""
    kind, _, tower = family.partition("_")
    text = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    net = tiny_net(kind, **{f"{tower}_config": TINY, "text_config": text})
    assert {layer.name for layer in find_layers(net)} - {
        layer.name for layer in LayerSelection().select(net)
    } == {
        "vision_model.embeddings.patch_embedding",
        "classifier",
    }
    net.save_pretrained(tmp_path / "net")
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path / "net")
    model, data = train(tmp_path, tmp_path / "net", distillation=Distillation())
    checkpoint, report = export(tmp_path, model, data)
    assert report["verification"]["largest_logit_difference"] == 0
    assert report["sparsity"]["prunable"] == pytest.approx(0.8, abs=1e-4)
    assert image_shape(
        AutoModelForImageClassification.from_pretrained(tmp_path / "export").config
    ) == (3, 16, 16)


def test_the_report_counts_what_is_in_the_file(exported):
    folder, _, checkpoint, report = exported
    assert report == json.loads((folder / "export" / "report.json").read_text())
    with safe_open(folder / "export" / "model.safetensors", framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    zeros = sum(int((t == 0).sum()) for t in tensors.values())
    parameters = sum(t.numel() for t in tensors.values())
    assert report["verification"] == {
        "largest_logit_difference": 0.0,
        "zeros_in_file": zeros,
        "images": 32,
    }
    assert report["sparsity"]["total"] == zeros / parameters
    assert report["pruned"]["nonzero_parameters"] == parameters - zeros
    assert report["pruned"]["bytes"] == (folder / "export" / "model.safetensors").stat().st_size
    loaded = AutoModelForImageClassification.from_pretrained(folder / "export")
    prunable = {name: loaded.get_submodule(name).weight for name in report["sparsity"]["layers"]}
    assert len(prunable) == 12
    for name, weight in prunable.items():
        assert report["sparsity"]["layers"][name] == float((weight == 0).double().mean())
    assert report["sparsity"]["prunable"] == pytest.approx(0.8, abs=1e-4)
    assert not any("parametrizations" in name for name in tensors)


def test_the_report_has_the_rounds_and_both_scores(exported):
    _, _, checkpoint, report = exported
    state = checkpoint["callbacks"]["IterativePruning"]
    rounds = state["rounds"]
    other = {
        **checkpoint,
        "callbacks": {"IterativePruning": {**state, "settings": {"monitor": "val/loss"}}},
    }
    assert {r["accuracy_finetuned"] for r in describe_run(other, 1)["rounds"]} == {
        None
    }  # no accuracies
    assert [r["accuracy_finetuned"] for r in report["rounds"]] == [r["finetuned"] for r in rounds]
    assert report["pruned"]["accuracy"] == pytest.approx(rounds[-1]["finetuned"])
    assert report["base"]["accuracy"] is not None
    assert report["base"]["nonzero_parameters"] > report["pruned"]["nonzero_parameters"]
    assert report["base"]["flops"] == report["pruned"]["flops"] > 0
    assert report["finished"]
    assert report["environment"]["versions"]["torch"] == version("torch")
    assert report["environment"]["seed"] == 42


def test_card_and_plots(exported):
    folder = exported[0] / "export"
    assert (
        len({path.stat().st_mode for path in folder.iterdir() if path.is_file()}) == 1
    )  # that of the weights is the usual one
    card = (folder / "README.md").read_text()
    assert "from_pretrained" in card
    assert "80.0" in card
    assert card.startswith("---\nlibrary_name: transformers")
    for name in ("training", "density"):
        assert f"plots/{name}.png" in card
        picture = Image.open(folder / "plots" / f"{name}.png").convert("L")
        assert min(picture.size) > 200
        assert len(picture.getcolors(1 << 20)) > 10  # not blank


def test_the_card_warns_of_a_choice_only_where_there_was_one(exported, tmp_path, pretrained):
    folder, data, _, report = exported
    chosen = "highest validation accuracy at the final sparsity"
    assert chosen not in (folder / "export" / "README.md").read_text()  # it is last.ckpt
    export(folder, ViTClassifier(str(pretrained)), data, "best")
    assert chosen in (folder / "export" / "README.md").read_text()
    dense = model_card({**report, "is_best": True, "rounds": []}, None, [])
    assert "highest validation accuracy, so" in dense
    assert "last row above" not in dense


def test_the_card_names_a_base_model_that_others_can_find(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert "base_model: somebody/vit\n" in model_card(exported[-1], "somebody/vit", [])
    for name in ("models/mine", "./models/mine", "digits", None):
        assert "base_model" not in model_card(exported[-1], name, [])


def test_a_checkpoint_of_another_model_is_refused(exported):
    _, data, checkpoint, _ = exported
    for changes in ({"classes": 7}, {"num_hidden_layers": 1}, {"intermediate_size": 32}):
        with pytest.raises(UsageError, match="another model"):
            export_checkpoint(
                checkpoint, tiny_net(**changes).config, data, exported[0] / "other", CPU
            )
    assert not (exported[0] / "other").exists()


def test_the_checkpoint_alone_decides_whether_a_run_was_finished(exported, tmp_path, pretrained):
    _, data, checkpoint, _ = exported
    never_pruned = {"state_dict": ViTClassifier(str(pretrained)).state_dict()}
    report = export_checkpoint(
        never_pruned, ViTClassifier(str(pretrained)).net.config, data, tmp_path / "dense", CPU
    )
    assert report["finished"]
    assert report["base"]["accuracy"] is None
    assert report["rounds"] == []


@pytest.mark.parametrize("family", ["levit"])
def test_running_means_are_no_zeros_of_the_weights(tmp_path, family):
    """They begin as zeros, and are no parameters."""
    sizes = {
        "image_size": 16,
        "hidden_sizes": [16, 16, 16],
        "key_dim": [8, 8, 8],
        "depths": [1, 1, 1],
    }
    net = net_from_config(
        AutoConfig.for_model(family, **sizes, num_attention_heads=[1, 1, 1])
    ).eval()
    zeros = measure(net).zeros
    written = write_weights(net, zeros, tmp_path, torch.randn(2, 3, 16, 16), Choices())
    assert written.verification.zeros_in_file == zeros


def test_before_the_final_sparsity_the_export_says_so(tmp_path, pretrained):
    model, data = train(tmp_path, pretrained, Cubic(0.8, end=2))
    checkpoint, whole = export(tmp_path, model, data)
    checkpoint["callbacks"]["IterativePruning"]["finished"] = (
        False  # as in the checkpoint of an earlier epoch
    )
    report = export_checkpoint(checkpoint, model.net.config, data, tmp_path / "export", CPU)
    assert whole["finished"]
    assert not report["finished"]
    assert "had not reached its final sparsity" in (tmp_path / "export" / "README.md").read_text()


STRUCTURED = {
    "heads and neurons": (
        Combined([Head(uniform=True), Neuron(uniform=True)]),
        {"heads": 1, "neurons": 32},
    ),
    "dimensions and neurons": (
        Combined([HeadDim(uniform=True), Neuron(uniform=True)]),
        {"head_dim": 8, "neurons": 32},
    ),
    "branches": (Branch(), {}),
}


@pytest.mark.parametrize("case", STRUCTURED)
def test_structured_masks_make_smaller_files(tmp_path, pretrained, case):
    granularity, widths = STRUCTURED[case]
    allocation = Uniform() if widths else Global()
    model, data = train(
        tmp_path, pretrained, OneShot(0.5), 1, granularity=granularity, allocation=allocation
    )
    _, report = export(tmp_path, model, data, shrink="required" if widths else "auto")
    shrunk = report["shrunk"]
    assert shrunk["before"] == {"blocks": 2, "heads": 2, "head_dim": 16, "neurons": 64}
    assert shrunk["largest_logit_difference_float64"] < 1e-10
    assert report["verification"]["largest_logit_difference"] < 1e-5
    if widths:
        assert shrunk["after"] == {**shrunk["before"], **widths}
        assert report["sparsity"]["prunable"] == 0.5
        assert not any(shrunk["stayed"].values())
    assert shrunk["dropped_parameters"] + shrunk["dropped_by_load_pruned"] > 0
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "export")
    smallest = vitprune.load_pruned(tmp_path / "export")
    assert (
        count(loaded)
        == report["pruned"]["parameters"]
        == report["base"]["parameters"] - shrunk["dropped_parameters"]
    )
    assert count(smallest) == count(loaded) - shrunk["dropped_by_load_pruned"]
    assert report["pruned"]["flops"] < report["base"]["flops"] or not widths
    images = next(iter(data.whole_validation()))["pixel_values"].float()
    torch.testing.assert_close(logits(smallest, images), logits(loaded, images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"granularity": Row(), "criterion": Magnitude(p=2)},
        {"allocation": Global(), "layers": LayerSelection(names=["*"])},
        {"granularity": Element(), "layers": LayerSelection(roles=["mlp_in"])},
    ],
)
def test_other_masks_export_as_well(tmp_path, pretrained, options):
    model, data = train(tmp_path, pretrained, OneShot(0.6), **options)
    _, report = export(tmp_path, model, data, "best")
    assert report["sparsity"]["prunable"] == pytest.approx(0.6, abs=0.02)


def test_mixing_images_ends_with_training(tmp_path, pretrained):
    torch.manual_seed(0)
    model = ViTClassifier(str(pretrained), labels=[str(d) for d in range(10)])
    options = {"max_images": {"train": 64, "validation": 50}, "num_workers": 0, "batch_size": 10}
    data = ImageData("digits", str(pretrained), augmentation=Augmentation(mixup=0.8), **options)
    pruning, saved = IterativePruning(OneShot(0.5)), RunCheckpoints()
    quiet_trainer(
        tmp_path, callbacks=[pruning, saved], enable_checkpointing=True, max_epochs=1
    ).fit(model, data)
    _, report = export(tmp_path, model, data)
    assert report["pruned"]["accuracy"] == pytest.approx(pruning.state.rounds[-1].finetuned)


def test_a_folder_of_something_else_is_left_alone(tmp_path, pretrained):
    model, data = train(tmp_path, pretrained)
    (tmp_path / "export").mkdir()
    others = {"thesis.tex": "years of work", "report.json": '{"years": 4}', "config.json": "{}"}
    for name, text in others.items():
        (tmp_path / "export" / name).write_text(text)
        with pytest.raises(UsageError, match="not an export"):
            export(tmp_path, model, data)
        assert (tmp_path / "export" / name).read_text() == text
    shutil.rmtree(tmp_path / "export")
    export(tmp_path, model, data)
    _, again = export(tmp_path, model, data)  # an export may be replaced
    assert again["finished"]
    assert not list(tmp_path.glob(".export*"))


def test_a_failed_verification_exports_nothing(tmp_path, pretrained, monkeypatch):
    model, data = train(tmp_path, pretrained)
    remove = masks.remove

    def damaging_remove(net):
        remove(net)
        net.classifier.bias.data.add_(1)

    monkeypatch.setattr(masks, "remove", damaging_remove)
    with pytest.raises(RuntimeError, match="differs from the masked one"):
        export(tmp_path, model, data)
    assert not (tmp_path / "export").exists()
