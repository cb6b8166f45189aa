"""The benchmark command, and that its arithmetic is right."""

import csv
import json
import shutil
import time

import pytest
import torch
from PIL import Image

from tests.conftest import tiny_net
from vitprune.benchmark.candidates import Contender, Setting, contender, contenders_of
from vitprune.benchmark.speed import race, spread
from vitprune.cli.main import main
from vitprune.export import pt2
from vitprune.export.exported import Exported
from vitprune.export.flops import count_flops
from vitprune.export.load import load_pruned
from vitprune.export.shrink import shrink
from vitprune.export.shrinkage import describe
from vitprune.export.verify import logits
from vitprune.model.anatomy.blocks import find_blocks


def test_speeds_are_ratios_of_the_first_model(monkeypatch):
    """On a clock of its own: a busy machine moves real ones."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def sleeper(name, seconds, flops):
        def run(images):
            now[0] += seconds * len(images)

        return Contender(name, run, (1, 1, 1), flops, parameters=1, bytes=None)

    dense, fast = race(
        [sleeper("dense", 0.006, 300), sleeper("fast", 0.002, 60)],
        batch_size=3,
        repeats=5,
        device="cpu",
    )
    assert dense.measured_speedup == dense.theoretical_speedup == 1
    assert fast.theoretical_speedup == 5
    assert fast.measured_speedup == pytest.approx(3)
    assert dense.latency_ms == pytest.approx(6)
    assert dense.images_per_s == pytest.approx(1 / 0.006)
    assert dense.images_per_s_spread == pytest.approx(0, abs=1e-9)


def test_every_round_has_every_model_and_starts_with_another():
    order = []
    models = [
        Contender(n, lambda images, n=n: order.append(n), (1, 1, 1), 1, 1, None) for n in "abc"
    ]
    race(models, batch_size=2, repeats=2, device="cpu")
    assert "".join(order) == 2 * "abcbcacababc"


def test_spread_is_the_distance_of_the_quartiles():
    assert spread([3.0]) == 0
    assert spread(range(1, 8)) == 4


def test_flops_include_attention():
    tokens, width, neurons, patches, classes = 5, 32, 64, 4, 10
    linear = 2 * tokens * width * (4 * width + 2 * neurons)
    attention = 2 * 2 * tokens * tokens * width
    ends = 2 * patches * width * 3 * 8 * 8 + 2 * width * classes
    assert count_flops(tiny_net(), (16, 16)) == 2 * (linear + attention) + ends


@pytest.fixture
def export(tmp_path):
    """An export with uneven widths."""
    net = tiny_net()
    for block, neurons in zip(find_blocks(net), (20, 40), strict=True):
        block.linear["mlp_in"].weight.data[:neurons] = 0
    small = shrink(net)
    small.save_pretrained(tmp_path / "export")
    (tmp_path / "export" / "report.json").write_text(json.dumps({"shrunk": describe(net, small)}))
    return tmp_path / "export"


def test_table_files_and_report(export, capsys):
    net, images = load_pruned(export), torch.zeros(2, 3, 16, 16)
    pt2.write(Exported(net, net, images, logits(net, images), export))
    main(
        [
            "benchmark",
            str(export),
            "--repeats=2",
            "--batch_size",
            "4",
            "--device=cpu",
            "--threads=1",
        ]
    )
    out = capsys.readouterr().out
    names = ["dense", "export", "export, load_pruned", "export, model.pt2"]
    for name in [*names, "latency ms (batch 1)", "threads 1", "batch_size 4", "float32"]:
        assert name in out
    report = json.loads((export / "report.json").read_text())
    assert report["benchmark"]["threads"] == 1
    models = report["benchmark"]["models"]
    assert [model["name"] for model in models] == names
    assert [
        model["name"]
        for model in csv.DictReader((export / "benchmark.csv").read_text().splitlines())
    ] == names
    dropped = report["shrunk"]["dropped_parameters"]
    assert models[0]["parameters"] - models[1]["parameters"] == dropped > 0
    assert models[0]["flops"] > models[1]["flops"] > models[2]["flops"] == models[3]["flops"]
    assert models[2]["theoretical_speedup"] == models[0]["flops"] / models[2]["flops"]
    assert all(model["images_per_s"] > 0 and model["latency_ms"] > 0 for model in models)
    assert len(Image.open(export / "benchmark.png").convert("L").getcolors(1 << 20)) > 10


def test_each_of_several_exports_is_told_which_of_the_models_it_is(export, tmp_path):
    places = [tmp_path / place / "version_0" / "export" for place in "ab"]
    for place in places:
        shutil.copytree(export, place)
    main(
        [
            "benchmark",
            *map(str, [*places, places[0]]),
            "--repeats=1",
            "--batch_size=1",
            "--device=cpu",
            "--threads=1",
        ]
    )
    for place, name in zip(places, ("a/version_0/export", "b/version_0/export"), strict=True):
        benchmark = json.loads((place / "report.json").read_text())["benchmark"]
        assert benchmark["export"] == name
        assert [model["name"] for model in benchmark["models"]].count(name) == 1


def test_every_model_is_compiled_for_each_batch_size(monkeypatch):
    """As it would be in use; kernels for any size are slower."""
    batch_sizes = []

    def backend(graph, inputs):
        batch_sizes.extend(len(value) for value in inputs if value.shape[1:] == (3, 16, 16))
        return graph

    compiled = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module,
        "compile",
        lambda self, **options: compiled(self, backend=backend, **options),
    )
    setting = Setting("cpu", torch.float32, compile=True)
    nets = [
        tiny_net(num_hidden_layers=1, intermediate_size=8 * (1 + number)) for number in range(5)
    ]
    race([contender("", net, setting, None) for net in nets], batch_size=3, repeats=1, device="cpu")
    assert batch_sizes == [1] * 5 + [3] * 5


def test_files_of_another_precision_are_left_out_of_a_race(export):
    net, images = load_pruned(export), torch.zeros(2, 3, 16, 16)
    pt2.write(Exported(net, net, images, logits(net, images), export))
    for dtype, written in ((torch.float32, True), (torch.bfloat16, False)):
        names = [
            one.name
            for one in contenders_of(export, "export", Setting("cpu", dtype, compile=False))
        ]
        assert ("export, model.pt2" in names) is written


def test_folders_of_others_get_no_files_unless_asked(export, tmp_path, capsys):
    tiny_net("deit").save_pretrained(tmp_path / "dense")
    arguments = [
        "benchmark",
        str(tmp_path / "dense"),
        "--base",
        str(tmp_path / "dense"),
        "--repeats=1",
        "--device=cpu",
    ]
    main(arguments)
    assert not (tmp_path / "dense" / "benchmark.csv").exists()
    main([*arguments, "--output", str(tmp_path / "out"), "--dtype=bfloat16"])
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "benchmark.csv",
        "benchmark.png",
    }


BAD = {
    "no folder": (["{tmp}/nothing"], "nothing' is not an export: it has no config.json"),
    "no model": (["{tmp}/other"], "holds no image classifier that can be loaded"),
    "no folders": ([], "missing folders, which is required."),
    "unknown option": (
        ["{export}", "--batch=3"],
        "Did you mean --batch_size? Valid are --base, --batch_size, ",
    ),
    "batch size": (["{export}", "--batch_size=0"], "--batch_size must be at least 1, not 0"),
    "device": (["{export}", "--device=tpu"], "device"),
    "base": (["{export}", "--base={tmp}"], "is not an export: it has no config.json"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_message(case, export, tmp_path, capsys):
    arguments, message = BAD[case]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "other" / "model.safetensors").write_bytes(b"")
    with pytest.raises(SystemExit) as stopped:
        main(["benchmark", *(a.format(tmp=tmp_path, export=export) for a in arguments)])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("vitprune: error: ")
    assert message in error
    assert "Traceback" not in error


@pytest.fixture(autouse=True)
def same_threads():
    yield
    torch.set_num_threads(1)
