import pickle
import shutil

import numpy as np
import pytest
import torch
import yaml
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as ImageFeature
from hypothesis import given
from hypothesis import strategies as st
from lightning import Callback
from PIL import Image
from transformers import AutoImageProcessor, DeiTImageProcessor, ViTImageProcessor

from tests.conftest import SHARED, needs_shared
from vitprune.data import Augmentation, Columns, ImageData, Normalization, Split, Streaming
from vitprune.data.loaders import make_loader
from vitprune.data.position import Position
from vitprune.data.processor import load_processor, output_size
from vitprune.data.row_samples import ImageSamples
from vitprune.data.sampler import EpochSampler
from vitprune.data.share import Share
from vitprune.data.sources import load_source
from vitprune.errors import UsageError


def picture(size=(20, 24), seed=0, mode="RGB"):
    values = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


@pytest.fixture
def image_folder(tmp_path):
    """Two classes, nine pictures each, of all kinds."""
    root = tmp_path / "pictures"
    for label in ("cat", "dog"):
        (root / "train" / label).mkdir(parents=True)
        for i in range(9):
            mode = ["RGB", "L", "RGBA", "CMYK", "P", "RGB", "1", "LA", "RGB"][i]
            name = f"{i}.{'jpg' if mode in ('RGB', 'CMYK', 'L') else 'png'}"
            picture((20 + i, 24), seed=i, mode=mode).save(root / "train" / label / name)
    return root


@pytest.fixture
def processor(tmp_path):
    folder = tmp_path / "processor"
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return str(folder)


def module(source, processor, **options):
    return ImageData(str(source), processor, **{"batch_size": 4, "num_workers": 0, **options})


class TestSources:
    def test_digits_are_split_once_and_for_all(self):
        splits = load_source("digits")
        assert {name: len(split) for name, split in splits.items()} == {
            "train": 1197,
            "validation": 300,
            "test": 300,
        }
        seen = [
            row["image"]["bytes"] + bytes([row["label"]])
            for split in splits.values()
            for row in split
        ]
        assert len(seen) == 1797
        assert (
            load_source("digits", split=Split(seed=7))["test"]["label"] == splits["test"]["label"]
        )

    def test_an_image_folder(self, image_folder, capsys):
        splits = load_source(str(image_folder), split=Split(0.25))
        assert splits["train"].features["label"].names == ["cat", "dog"]
        assert {name: len(split) for name, split in splits.items()} == {
            "train": 13,
            "validation": 5,
        }
        again = load_source(str(image_folder), split=Split(0.25))
        assert splits["validation"]["image"] == again["validation"]["image"]
        paths = [row["image"]["path"] for split in splits.values() for row in split]
        assert len(set(paths)) == 18

    @pytest.mark.parametrize(
        ("splits", "classes", "files"),
        [
            (["train", "test"], ["apple", "bear", "train"], "1.png"),  # as CIFAR-100 has them
            (["training", "val"], ["bullet_train", "cat", "test_tube"], "1.png"),
            ([], ["bullet_train", "cat", "dog", "test"], "1.png"),
            ([], ["cat", "dog"], "ILSVRC2012_val_1.png"),
        ],
    )
    def test_folders_at_the_top_alone_say_what_a_split_is(self, tmp_path, splits, classes, files):
        for index, name in enumerate(classes):
            for split in splits or ["."]:
                (tmp_path / "data" / split / name).mkdir(parents=True)
                for copy in range(4):
                    picture(seed=index).save(tmp_path / "data" / split / name / f"{copy}{files}")
        loaded = load_source(str(tmp_path / "data"), split=Split(0.25))
        assert loaded["train"].features["label"].names == classes
        paths = {split: [row["image"]["path"] for row in rows] for split, rows in loaded.items()}
        assert (
            sum(map(len, paths.values()))
            == len(set().union(*paths.values()))
            == 4 * len(classes) * max(1, len(splits))
        )
        assert set(paths) == {"train", "validation", *(["test"] if "test" in splits else [])}

    def test_names_decide_about_labels_that_are_strings(self, tmp_path):
        source = self.parquet(tmp_path / "d", ["tench", "church", "tench"] * 4, Value("string"))
        splits = load_source(source, Columns(class_names=["tench", "church"]), Split(0.25))
        names = splits["train"].features["label"].names
        assert names == ["tench", "church"]
        assert sum(splits["train"]["label"]) + sum(splits["validation"]["label"]) == 4
        with pytest.raises(
            UsageError, match=r"the labels \['church'\]; valid are \['tench', 'dog'\]"
        ):
            load_source(source, Columns(class_names=["tench", "dog"]))

    @pytest.mark.parametrize("kind", ["Image", "struct", "binary"])
    def test_a_folder_of_parquet_files(self, tmp_path, image_folder, kind):
        (tmp_path / "parquet").mkdir()
        data = [(image_folder / "train" / "cat" / f"{i}.jpg").read_bytes() for i in (0, 1, 5)]
        column = {
            "Image": ([{"bytes": d, "path": None} for d in data], ImageFeature()),
            "struct": (
                [{"bytes": d, "path": None} for d in data],
                {"bytes": Value("binary"), "path": Value("string")},
            ),
            "binary": (data, Value("binary")),
        }[kind]
        features = Features({"photo": column[1], "class": Value("string")})
        for split in ("train", "validation"):
            table = Dataset.from_dict(
                {"photo": column[0], "class": ["b", "a", "b"]}, features=features
            )
            table.to_parquet(tmp_path / "parquet" / f"{split}-00000-of-00001.parquet")
        splits = load_source(str(tmp_path / "parquet"))
        assert splits["train"].features["label"].names == ["a", "b"]
        assert splits["validation"]["label"] == [1, 0, 1]
        assert splits["train"][1]["image"]["bytes"] == data[1]

    def parquet(self, folder, labels, feature=None, **columns):
        folder.mkdir(exist_ok=True)
        image = {"bytes": b"", "path": None}
        features = Features({"image": ImageFeature(), "label": feature or Value("int64")})
        features |= {name: Value("int64") for name in columns}
        rows = {"image": [image] * len(labels), "label": labels, **columns}
        Dataset.from_dict(rows, features=Features(features)).to_parquet(
            folder / "train-0-of-1.parquet"
        )
        return str(folder)

    @pytest.mark.parametrize(
        ("labels", "feature", "message"),
        [
            ([0, 1, 5], None, "without gaps"),
            ([0, -1, 1], None, "without gaps"),
            ([0, 1, 2], ClassLabel(num_classes=2), "label 2; valid are 0 to 1"),
            ([0, 1, -1], ClassLabel(num_classes=2), "label -1; valid are 0 to 1"),
            ([0.5, 1.5], Value("float64"), "integers or strings"),
            ([0, 0, 0], None, "one class only"),
            ([0, 0, 0], ClassLabel(names=["a"]), "one class only"),
        ],
    )
    def test_labels_that_cannot_be_learned(self, tmp_path, labels, feature, message):
        if isinstance(
            feature, ClassLabel
        ):  # the library checks what it writes itself, so write the table by hand
            import pyarrow.parquet as pq

            source = self.parquet(tmp_path / "d", [0] * len(labels), feature)
            path = tmp_path / "d" / "train-0-of-1.parquet"
            table = pq.read_table(path)
            pq.write_table(table.set_column(1, "label", [labels]), path)
        else:
            source = self.parquet(tmp_path / "d", labels, feature)
        with pytest.raises(UsageError, match=message):
            load_source(source)

    @pytest.mark.parametrize(
        "files",
        [
            ["train/cat/1.png", "train/cat/2.png"],
            ["train/cat/1.png", "train/cat/2.png", "validation/cat/3.png"],
            ["train/1.png", "train/2.png"],
            [
                "train/cat/1.png",
                "train/dog/2.png",
                "test/3.png",
            ],  # this is where the library stops to look for classes
        ],
        ids=["one", "one, validated", "none", "not everywhere"],
    )
    def test_an_image_folder_without_two_classes(self, tmp_path, files):
        (tmp_path / "train" / "empty").mkdir(parents=True)
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            picture().save(tmp_path / file)
        with pytest.raises(
            UsageError, match="one class only, or none: at least two folders.*train/cat/1.jpg"
        ):
            load_source(str(tmp_path))

    def test_a_class_without_images_keeps_its_number(self, tmp_path, caplog):
        source = self.parquet(tmp_path / "d", [0, 2] * 5, ClassLabel(names=["a", "b", "c"]))
        splits = load_source(source)
        assert "has no images of ['b']" in caplog.text
        assert splits["train"].features["label"].names == ["a", "b", "c"]
        assert set(splits["train"]["label"]) == {0, 2}

    def test_columns_are_listed_when_none_fits(self, tmp_path):
        Dataset.from_dict({"x": [1], "y": [2]}).to_parquet(tmp_path / "train-0.parquet")
        with pytest.raises(
            UsageError, match=r"no image column. Its columns are \['x', 'y'\]; name one with"
        ):
            load_source(str(tmp_path))
        with pytest.raises(UsageError, match="columns.image 'z' is not a column"):
            load_source(str(tmp_path), Columns("z", "y"))
        with pytest.raises(UsageError, match="holds Value.*, not images"):
            load_source(str(tmp_path), Columns("x", "y"))

    def test_one_of_several_label_columns_is_asked_for(self, tmp_path):
        source = self.parquet(tmp_path / "d", [0, 1], target=[1, 0])
        with pytest.raises(UsageError, match=r"several label columns, \['label', 'target'\]"):
            load_source(source)
        assert load_source(source, Columns(label="target"), Split(0.5))["train"].num_rows == 1

    @pytest.mark.parametrize("streaming", [None, Streaming()])
    def test_one_of_several_configurations(self, tmp_path, processor, streaming):
        configs = [
            {
                "config_name": name,
                "data_files": [
                    {"split": s, "path": f"{name}/{s}-*"} for s in ("train", "validation")
                ],
            }
            for name in ("large", "small")
        ]
        (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n")
        for name, images in (("large", 4), ("small", 2)):
            source = self.parquet(
                tmp_path / name, [0, 1] * (images // 2), ClassLabel(names=["a", "b"])
            )
            shutil.copy(
                tmp_path / name / "train-0-of-1.parquet",
                tmp_path / name / "validation-0-of-1.parquet",
            )
        splits = module(tmp_path, processor, subset="small", streaming=streaming).splits
        assert len(splits["train"]) == len(splits["validation"]) == 2
        assert (
            len(module(source, processor, subset="large", streaming=streaming).splits["train"]) == 2
        )  # it has none
        for wrong in (None, "middle"):
            with pytest.raises(
                UsageError,
                match=rf"data.subset must be one of .* \['large', 'small'\], not {wrong!r}",
            ):
                _ = module(tmp_path, processor, subset=wrong, streaming=streaming).splits

    def test_a_missing_folder_and_an_empty_one(self, tmp_path):
        with pytest.raises(UsageError, match="is not a folder"):
            load_source(str(tmp_path / "none"))
        with pytest.raises(UsageError, match="no readable images"):
            load_source(str(tmp_path))

    def test_a_hub_name_without_network_is_one_line(self, monkeypatch):
        with pytest.raises(
            UsageError, match="hub has no such data set, or cannot be reached"
        ) as error:
            load_source("nobody/nothing")
        assert "\n" not in str(error.value)


class TestTransforms:
    @pytest.mark.parametrize(
        "reference",
        [
            ViTImageProcessor(size={"height": 32, "width": 32}, resample=2),
            ViTImageProcessor(
                size={"height": 32, "width": 32}, resample=3, image_mean=[0.4, 0.5, 0.6]
            ),
            DeiTImageProcessor(
                size={"height": 40, "width": 40}, crop_size={"height": 32, "width": 32}
            ),
        ],
        ids=["bilinear", "bicubic", "crop"],
    )
    def test_evaluation_is_what_the_processor_computes(self, tmp_path, image_folder, reference):
        reference.save_pretrained(tmp_path / "reference")
        data = module(image_folder, str(tmp_path / "reference"))
        data.setup("validate")
        batch = next(iter(data.val_dataloader()))
        assert batch["pixel_values"].dtype == torch.uint8
        ours = data.prepare(batch, torch.device("cpu"))["pixel_values"]
        plain = AutoImageProcessor.from_pretrained(tmp_path / "reference")
        files = [
            Image.open(row["image"]["path"]).convert("RGB") for row in data.splits["validation"]
        ][: len(ours)]
        assert torch.equal(ours, plain(files, return_tensors="pt")["pixel_values"])

    def test_size_mean_and_std_can_be_set(self, image_folder, processor):
        data = module(
            image_folder,
            processor,
            image_size=8,
            normalization=Normalization([0.1, 0.2, 0.3], [1.0, 1.0, 1.0]),
        )
        data.setup("validate")
        batch = data.prepare(next(iter(data.val_dataloader())), torch.device("cpu"))["pixel_values"]
        assert batch.shape[1:] == (3, 8, 8)
        assert data.image_processor.image_mean == (0.1, 0.2, 0.3)
        assert data.image_shape == (8, 8)

    @pytest.mark.parametrize(
        "size", [{"height": 40, "width": 48}, {"shortest_edge": 40}], ids=["both", "shortest"]
    )
    def test_what_is_cropped_keeps_its_margin_at_another_size(self, tmp_path, size):
        DeiTImageProcessor(size=size, crop_size={"height": 32, "width": 32}).save_pretrained(
            tmp_path
        )
        same, half = (load_processor(str(tmp_path), side) for side in (32, 16))
        assert same.to_dict() == load_processor(str(tmp_path)).to_dict()
        assert half.to_dict()["size"] == {name: pixels // 2 for name, pixels in size.items()}
        assert output_size(half) == (16, 16)

    def test_augmentation_depends_on_seed_epoch_and_image_alone(self, image_folder, processor):
        data = module(
            image_folder, processor, augmentation=Augmentation(randaugment=2, random_erasing=0.5)
        )
        data.setup("fit")
        images = data.train_dataloader().dataset
        torch.manual_seed(1)
        first = images[(3, 5)]["pixel_values"]
        torch.rand(10)
        state = torch.get_rng_state()
        assert torch.equal(images[(3, 5)]["pixel_values"], first)
        assert torch.equal(torch.get_rng_state(), state)
        assert not torch.equal(images[(4, 5)]["pixel_values"], first)

    @pytest.mark.parametrize(
        "options", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}]
    )
    def test_mixed_batches_have_soft_labels_only_while_training(
        self, image_folder, processor, options
    ):
        from tests.conftest import quiet_trainer
        from vitprune.model import ViTClassifier

        data = module(image_folder, processor, augmentation=Augmentation(**options))
        model = ViTClassifier(
            architecture={"model_type": "vit", "image_size": 16, "hidden_size": 12},
            labels=["a", "b"],
        )
        shapes = {"train": set(), "val": set()}

        class Watch(Callback):
            def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
                shapes["train"].add(batch["labels"].ndim)

            def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
                shapes["val"].add(batch["labels"].ndim)

        quiet_trainer(image_folder, max_epochs=1, callbacks=[Watch()]).fit(model, data)
        assert shapes == {"train": {2}, "val": {1}}


def test_loaders_can_be_handed_to_a_worker_that_is_not_a_fork(image_folder, processor):
    data = module(image_folder, processor, augmentation=Augmentation(randaugment=1))
    data.setup("fit")
    for loader in (data.train_dataloader(), data.val_dataloader()):
        images = pickle.loads(pickle.dumps(loader.dataset))
        assert torch.equal(images[(1, 0)]["pixel_values"], loader.dataset[(1, 0)]["pixel_values"])


class TestBadImages:
    def test_a_truncated_image_is_named(self, image_folder, processor):
        bad = image_folder / "train" / "cat" / "0.jpg"
        bad.write_bytes(bad.read_bytes()[:200])
        data = module(image_folder, processor)
        data.setup("fit")
        batches = [*data.train_dataloader(), *data.val_dataloader()]
        with pytest.raises(
            UsageError, match=r"cat/0.jpg of the (train|validation) split is not a readable image"
        ):
            [data.on_before_batch_transfer(batch, 0) for batch in batches]

    @pytest.mark.parametrize("workers", [0, 2])
    def test_or_skipped_and_counted(self, image_folder, processor, workers):
        for name in ("0.jpg", "1.jpg"):
            (image_folder / "train" / "cat" / name).write_bytes(b"no image")
        data = module(
            image_folder, processor, on_bad_image="skip", num_workers=workers, batch_size=6
        )
        data.setup("fit")
        images = 0
        for loader in (data.train_dataloader(), data.val_dataloader()):
            for batch in loader:
                images += len(data.on_before_batch_transfer(batch, 0)["labels"])
        served = 12 + len(data.splits["validation"])
        assert images == served - len(data.bad_images.messages)
        assert 1 <= len(data.bad_images.messages) <= 2
        with pytest.warns(
            UserWarning, match="[12] images were skipped, among them: .*is not a readable image"
        ):
            data.teardown("fit")

    def test_no_class_folder_at_all(self, tmp_path, processor):
        with pytest.raises(UsageError, match="predict_images must be a folder"):
            _ = module(None, processor, predict_images=str(tmp_path / "none")).predict_files


class TestOrder:
    def sampler(self, **options):
        return EpochSampler(**{"images": range(23), "seed": 1, "batch_size": 4, **options})

    def test_every_epoch_is_another_permutation(self):
        sampler = self.sampler()
        first = list(sampler)
        sampler.set_epoch(1)
        second = list(sampler)
        assert {i for _, i in first} == {i for _, i in second} == set(range(23))
        assert [i for _, i in first] != [i for _, i in second]
        assert {e for e, _ in second} == {1}

    def test_a_position_leaves_out_what_was_served_in_that_epoch_only(self):
        whole, rest = self.sampler(), self.sampler(start=Position(epoch=2, batches=3))
        whole.set_epoch(2)
        assert list(rest) == list(whole)[12:]
        assert list(rest) == list(whole)[12:]  # iterating has no side effect
        rest.set_epoch(3)
        whole.set_epoch(3)
        assert list(rest) == list(whole)

    @pytest.mark.parametrize("seed", [1, None])
    def test_ranks_share_without_repeating(self, seed):
        shares = [[i for _, i in self.sampler(seed=seed, share=Share(r, 3))] for r in range(3)]
        everything = [i for share in shares for i in share]
        assert len(everything) == len(set(everything))
        assert len(everything) == (21 if seed else 23)
        assert [len(s) for s in shares] == [
            len(self.sampler(seed=seed, share=Share(r, 3))) for r in range(3)
        ]


@given(images=st.integers(1, 200), batch_size=st.integers(1, 40), ranks=st.integers(1, 5))
def test_every_rank_evaluates_as_many_batches(images, batch_size, ranks):
    options = {
        "batch_size": batch_size,
        "workers": 0,
        "shuffle": False,
        "start": Position(),
        "buffer": 1,
    }
    samples = ImageSamples(lambda image: {}, 0, "validation")
    if images < ranks:
        with pytest.raises(
            UsageError,
            match=f"the validation split has {images} images, fewer than the {ranks} processes",
        ):
            make_loader(range(images), samples, share=Share(0, ranks), **options)
        return
    loaders = [
        make_loader(range(images), samples, share=Share(rank, ranks), **options)
        for rank in range(ranks)
    ]
    assert len({len(loader) for loader in loaders}) == 1
    assert sorted(
        index for loader in loaders for batch in loader.batch_sampler for _, index in batch
    ) == list(range(images))
    assert ranks > 1 or loaders[0].batch_size == batch_size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"num_workers": -1}, "num_workers must be at least 0, not -1"),
        ({"on_bad_image": "ignore"}, "'error' or 'skip'"),
    ],
)
def test_impossible_settings(options, message):
    with pytest.raises(UsageError, match=message):
        ImageData("digits", "digits", **options)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            lambda: Augmentation(crop_scale=(0.8, 0.2)),
            r"augmentation.crop_scale must be two ascending numbers in \(0, 1\], not \[0.8, 0.2\]",
        ),
        (
            lambda: Augmentation(random_erasing=1.5),
            r"augmentation.random_erasing must be a probability in \[0, 1\], not 1.5",
        ),
        (lambda: Augmentation(mixup=-1.0), "augmentation.mixup must be at least 0, not -1.0"),
        (lambda: Split(1.0), "split.validation_fraction must lie between 0 and 1, not 1.0"),
        (lambda: Streaming(0), "streaming.shuffle_buffer must be at least 1, not 0"),
    ],
)
def test_impossible_groups_of_settings(settings, message):
    with pytest.raises(UsageError, match=message):
        settings()


def test_the_largest_number_of_images_is_a_fixed_choice(processor):
    first = module("digits", processor, max_images={"train": 50})
    again = module("digits", processor, max_images={"train": 50})
    assert first.splits["train"]["image"] == again.splits["train"]["image"]
    assert len(first.splits["train"]) == 50
    assert len(first.splits["validation"]) == 300


def test_a_source_without_a_test_split_says_so(image_folder, processor):
    with pytest.raises(UsageError, match=r"no test split; it has \['train', 'validation'\]"):
        module(image_folder, processor).setup("test")


@needs_shared
def test_imagenette():
    data = ImageData(
        str(SHARED / "imagenette"), str(SHARED / "models" / "deit-tiny-imagenette"), batch_size=8
    )
    data.setup("fit")
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 9469,
        "validation": 3925,
    }
    assert len(data.class_names) == 10
    batch = data.prepare(next(iter(data.val_dataloader())), torch.device("cpu"))
    assert batch["pixel_values"].shape == (8, 3, 224, 224)
