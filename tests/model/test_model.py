import numpy as np
import pytest
import torch
from torch.nn.utils import prune
from transformers import ResNetConfig, ResNetModel

from tests.conftest import TINY, quiet_trainer, tiny_net
from vitprune.data import Augmentation, ImageData
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import IterativePruning, Levels
from vitprune.pruning.sparsity import measure

LABELS = [str(d) for d in range(10)]


def digits(**options):
    return ImageData(
        "digits",
        "digits",
        **{"max_images": {"train": 128, "validation": 32}, "num_workers": 0, **options},
    )


def test_a_pretrained_folder_of_either_family(pretrained, family):
    model = ViTClassifier(str(pretrained), labels=LABELS)
    assert model.net.config.model_type == family
    assert model.net.training
    assert torch.equal(model.net.classifier.weight, tiny_net(family).classifier.weight)
    assert model(torch.zeros(2, 3, 16, 16)).shape == (2, 10)


def test_a_classifier_of_another_size_is_rebuilt_and_the_user_told(pretrained, caplog):
    with caplog.at_level("INFO"):
        model = ViTClassifier(str(pretrained), labels=["yes", "no"])
    assert model.net.classifier.out_features == 2
    assert model.net.config.id2label == {0: "yes", 1: "no"}
    assert "re-initialising the 10-class head for 2 classes" in caplog.text
    reference = tiny_net(model.net.config.model_type)
    for ours, theirs in zip(find_layers(model.net)[:-1], find_layers(reference)[:-1], strict=True):
        assert torch.equal(ours.weight, theirs.weight)


def test_classes_that_a_model_knows_by_name_keep_their_rows(tmp_path, caplog):
    net = tiny_net("vit")
    names = ["tench, Tinca tinca", "crane", "church, church building", "crane", *"abcdef"]
    net.config.id2label = dict(enumerate(names))
    net.save_pretrained(tmp_path)
    with caplog.at_level("INFO"):
        model = ViTClassifier(str(tmp_path), labels=["church", "tench, Tinca tinca", "a"])
    assert "keeping the 3 matching rows of the 10-class head" in caplog.text
    assert (model.net.config.id2label, model.net.config.num_labels) == (
        {0: "church", 1: "tench, Tinca tinca", 2: "a"},
        3,
    )
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(
        model.eval()(images), net.eval()(pixel_values=images).logits[:, [2, 0, 4]]
    )
    twice = ViTClassifier(str(tmp_path), labels=["church", "church building"])
    assert twice.net.classifier.weight.shape[0] == 2
    assert not torch.equal(twice.net.classifier.weight, net.classifier.weight[[2, 2]])
    unclear = ViTClassifier(
        str(tmp_path), labels=["church", "crane"]
    )  # ImageNet too has two of them
    assert not torch.equal(unclear.net.classifier.weight, net.classifier.weight[[2, 1]])


def test_a_backbone_gets_a_classifier_and_the_user_is_told(tmp_path, caplog):
    tiny_net("vit").vit.save_pretrained(tmp_path)
    with caplog.at_level("INFO"):
        ViTClassifier(str(tmp_path), labels=["yes", "no"])
    assert "adding a head for 2 classes" in caplog.text
    with pytest.raises(UsageError, match="its classification head has no weights"):
        ViTClassifier(str(tmp_path))


def test_a_backbone_of_another_family_gets_a_classifier(tmp_path):
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(tmp_path)
    assert ViTClassifier(str(tmp_path), labels=["yes", "no"])(torch.zeros(2, 3, 32, 32)).shape == (
        2,
        2,
    )


def test_weights_that_are_missing_are_named(tmp_path):
    net = tiny_net("vit")
    prune.random_unstructured(
        net.vit.layers[0].attention.q_proj, "weight", 0.5
    )  # weight_orig and weight_mask in the file
    net.save_pretrained(tmp_path)
    with pytest.raises(
        UsageError,
        match=r"missing weights, or of another shape: 1, such as vit\.layers\.0\.attention\.q_proj",
    ):
        ViTClassifier(str(tmp_path))


def test_a_file_of_weights_that_is_cut_off_is_named(tmp_path):
    tiny_net("vit").save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(
        UsageError, match=f"model.pretrained .*{tmp_path.name}.* could not be loaded"
    ):
        ViTClassifier(str(tmp_path))


def test_a_family_without_a_size_of_images_sees_any():
    architecture = {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "layer_type": "basic",
    }
    for size in (None, 64):
        model = ViTClassifier(architecture=architecture, labels=["yes", "no"], image_size=size)
        assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 2)


def test_as_many_classes_in_another_order_are_put_in_order(tmp_path):
    net = tiny_net("vit")
    net.config.id2label = dict(enumerate(LABELS[::-1]))
    net.save_pretrained(tmp_path)
    model = ViTClassifier(str(tmp_path), labels=LABELS)
    assert torch.equal(model.net.classifier.weight, net.classifier.weight.flip(0))


def test_without_labels_the_classes_are_those_of_the_model(pretrained):
    assert ViTClassifier(str(pretrained)).net.config.num_labels == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either model.pretrained"),
        (
            {"pretrained": "digits", "architecture": {"model_type": "vit"}},
            "either model.pretrained",
        ),
        ({"architecture": {"hidden_size": 8}}, "needs a model_type"),
        ({"pretrained": "./none"}, "'./none' is not a folder"),
        ({"pretrained": "nobody/nothing"}, "the hub must be reachable"),
        ({"pretrained": "digits", "learning_rate": 0}, "learning_rate"),
        ({"pretrained": "digits", "label_smoothing": 1.0}, "label_smoothing"),
        ({"pretrained": "digits", "warmup_fraction": -0.1}, "warmup_fraction"),
        ({"pretrained": "digits", "layer_decay": 0}, "layer_decay"),
    ],
)
def test_what_cannot_work_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        ViTClassifier(**options)


def test_a_folder_that_is_no_model(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="could not be loaded"):
        ViTClassifier(str(tmp_path))


@pytest.mark.parametrize("size", [16, 32, 8])
def test_position_embeddings_follow_the_image_size(pretrained, family, size):
    model = ViTClassifier(str(pretrained), image_size=size)
    assert model(torch.zeros(1, 3, size, size)).isfinite().all()
    assert model.net.config.image_size == size
    ours, theirs = (n.base_model.embeddings for n in (model.net, tiny_net(family)))
    special = theirs.position_embeddings.shape[1] - 4
    assert torch.equal(
        ours.position_embeddings[:, :special], theirs.position_embeddings[:, :special]
    )
    if size == 16:
        assert torch.equal(ours.position_embeddings, theirs.position_embeddings)


@pytest.mark.parametrize(
    "options", [{}, {"gradient_checkpointing": True}, {"label_smoothing": 0.1}]
)
def test_it_learns_and_logs(tmp_path, options):
    torch.manual_seed(0)
    model = ViTClassifier(
        architecture={"model_type": "vit", **TINY, "initializer_range": 0.1},
        labels=LABELS,
        learning_rate=3e-3,
        **options,
    )
    names = set(model.state_dict())
    trainer = quiet_trainer(tmp_path, max_epochs=6)
    trainer.fit(
        model, digits(batch_size=32, augmentation=Augmentation((0.9, 1.0), horizontal_flip=False))
    )
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/top5"} <= set(logged)
    assert logged["train/accuracy"] > 0.3
    assert logged["val/top5"] >= logged["val/accuracy"]
    assert set(model.state_dict()) == names


def test_a_checkpoint_of_numpy_rates_can_be_loaded_safely(tmp_path):
    model = ViTClassifier(
        architecture={"model_type": "vit", **TINY},
        labels=LABELS,
        learning_rate=np.float64(1e-3),
        weight_decay=np.float32(0.5),
    )
    trainer = quiet_trainer(tmp_path, max_epochs=1, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(model, digits(batch_size=8))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["hyper_parameters"]
    assert (saved["learning_rate"], saved["weight_decay"]) == (1e-3, 0.5)


@pytest.mark.slow
def test_compiled_in_place_with_masks_that_change(tmp_path):
    model = ViTClassifier("digits", labels=LABELS, compile=True)
    names = set(model.state_dict())
    pruning = IterativePruning(Levels([0.2, 0.4]))
    trainer = quiet_trainer(tmp_path, max_epochs=2, callbacks=[pruning])
    trainer.fit(model, digits(batch_size=32))
    assert set(model.state_dict()) == names
    assert measure(model, pruning.layers).prunable == pytest.approx(0.4, abs=1e-4)
    assert trainer.callback_metrics["val/accuracy"] > 0.9


def test_the_embedded_model_knows_its_digits(tmp_path):
    trainer = quiet_trainer(tmp_path)
    model, data = ViTClassifier("digits"), ImageData("digits", "digits", num_workers=0)
    assert trainer.validate(model, data, verbose=False)[0]["val/accuracy"] >= 0.975
    assert trainer.test(model, data, verbose=False)[0]["test/accuracy"] >= 0.95


def test_the_validation_loss_is_the_mean_over_the_images(tmp_path):
    """Also if the last batch is smaller."""
    model = ViTClassifier(architecture={"model_type": "vit", **TINY}, labels=LABELS)
    data = ImageData("digits", "digits", num_workers=0, max_images={"validation": 33})

    def loss(batch_size):
        data.batch_size = batch_size
        return quiet_trainer(tmp_path).validate(model, data, verbose=False)[0]["val/loss"]

    assert loss(16) == pytest.approx(loss(33))


def test_a_loss_that_is_nan_stops_before_the_weights(tmp_path):
    from vitprune.training.guards import StopOnNaN

    model = ViTClassifier("digits", labels=LABELS)
    step = model.training_step
    model.training_step = lambda batch, batch_idx: (
        step(batch, batch_idx) * (torch.nan if batch_idx == 2 else 1.0)
    )
    with pytest.raises(
        UsageError, match=r"loss is nan in epoch 0, batch 2, after optimizer step 2.*last good"
    ):
        quiet_trainer(tmp_path, callbacks=[StopOnNaN()], max_epochs=1).fit(
            model, digits(batch_size=16)
        )
    assert all(p.isfinite().all() for p in model.parameters())
