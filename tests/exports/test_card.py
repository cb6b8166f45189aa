"""The model card says what was pruned, how, and how to use the result."""

import json
from dataclasses import replace

from huggingface_hub import ModelCard
from PIL import Image
from transformers import AutoConfig, TimmWrapperConfig

from tests.conftest import tiny_net
from tests.exports.reports import WIDTHS, run_report
from tests.exports.runs import export, read
from tests.timm_models import TINY
from vitprune.exports.card import model_card
from vitprune.exports.usage import Loading, loading_of
from vitprune.model.loading import net_from_config
from vitprune.runs.format_report import FormatReport
from vitprune.runs.report import SparsityReport
from vitprune.runs.shrink_report import ShrinkReport

CHOSEN = "highest validation accuracy at the final sparsity"


def test_card_and_figures_of_an_export(exported_run):
    folder = exported_run[0].folder.export
    files = [path for path in folder.path.iterdir() if path.is_file()]
    assert len({path.stat().st_mode for path in files}) == 1  # the weights are readable as well
    card = folder.card.read_text()
    assert card.startswith("---\nlibrary_name: transformers")
    assert "from_pretrained" in card
    assert "80.0" in card
    for name in ("training", "density"):
        assert f"plots/{name}.png" in card
        picture = Image.open(folder.plots / f"{name}.png").convert("L")
        assert min(picture.size) > 200
        assert len(picture.getcolors(1 << 20)) > 10  # not blank


def test_the_best_checkpoint_is_told_from_the_last(exported_run):
    run, report = exported_run
    card = run.folder.export.card
    assert not report.is_best
    assert CHOSEN not in card.read_text()
    assert export(run, read(run.folder.best)).is_best
    assert CHOSEN in card.read_text()


def test_a_biased_accuracy_is_called_so():
    assert CHOSEN not in model_card(run_report(), None, [])
    card = model_card(run_report(is_best=True), None, [])
    assert CHOSEN in card
    assert "The last row of the table of rounds is measured at that epoch." in card
    dense = model_card(run_report(is_best=True, rounds=[]), None, [])
    assert "highest validation accuracy, so" in dense
    assert "last row of the table" not in dense


def test_a_base_model_that_others_can_find_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert "base_model: somebody/vit\n" in model_card(run_report(), "somebody/vit", [])
    for name in ("models/mine", "./models/mine", "digits", None):
        assert "base_model" not in model_card(run_report(), name, [])


def test_the_hub_can_show_the_accuracy():
    data = ModelCard(model_card(run_report(), "somebody/vit", [], source="someone/pictures")).data
    [result] = data.eval_results
    assert (result.dataset_type, result.dataset_name) == ("someone/pictures", "pictures")
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.9)
    assert data.model_name == "vit, 50% sparse"
    local = ModelCard(model_card(run_report(), None, [], source="../data/mine")).data
    assert local.eval_results[0].dataset_type == "mine"
    assert ModelCard(model_card(run_report(), None, [])).data.eval_results is None


def test_titles():
    assert "\n# vit, 50% sparse\n" in model_card(run_report(), "somebody/vit", [])
    dense = run_report(sparsity=SparsityReport(0.0, 0.0, {}))
    assert "\n# vit\n" in model_card(dense, "somebody/vit", [])


def test_numbers_side_by_side():
    report = run_report(
        base=replace(run_report().base, accuracy=None, loss=None, nonzero_parameters=None),
        formats={
            "onnx": FormatReport(bytes=1234, largest_logit_difference=0.0),
            "semi_structured": FormatReport(note="there is no CUDA GPU"),
        },
    )
    card = model_card(report, None, [])
    assert "| validation accuracy | - | 90.00% |" in card
    assert "| nonzero parameters | - | 500 |" in card
    assert "| FLOPs, one image | 5,000 | 5,000 |" in card
    assert "| bytes as onnx | - | 1,234 |" in card
    assert "bytes as semi_structured" not in card
    assert "| 1 | 0 | 50.00% | 50.00% | 70.00% | 90.00% |" in card


def test_an_unfinished_run_is_called_so():
    text = "had not reached its final sparsity"
    assert text in model_card(run_report(finished=False), None, [])
    assert text not in model_card(run_report(), None, [])


def test_how_to_use_each_format():
    formats = {name: FormatReport() for name in ("pt2", "onnx", "compressed", "semi_structured")}
    card = model_card(run_report(formats=formats), None, [])
    for call in ("torch.export.load", "InferenceSession", "restore(", "convert("):
        assert call in card
    assert "import vitprune\n" not in card
    shrunk = ShrinkReport(0, before=WIDTHS, after=WIDTHS, dropped_by_load_pruned=7)
    assert "vitprune.load_pruned(" in model_card(run_report(shrunk=shrunk), None, [])


def test_how_a_model_of_timm_and_one_with_its_own_code_are_loaded():
    card = model_card(run_report(), None, [], Loading(", trust_remote_code=True", "A remark.\n\n"))
    assert 'from_pretrained("path/to/this/folder", trust_remote_code=True)\n' in card
    assert "\nA remark.\n\n" in card
    config = TimmWrapperConfig(architecture="vit_tiny_patch16_224", model_args=TINY, num_labels=10)
    assert 'timm.create_model("local-dir:' in loading_of(net_from_config(config)).remark
    config = AutoConfig.for_model("dinov3_vit", hidden_size=32, num_hidden_layers=1, num_labels=2)
    assert loading_of(net_from_config(config)).options == ", trust_remote_code=True"
    assert loading_of(tiny_net()) == Loading()


def test_the_report_is_read_back_as_it_was(exported_run):
    run, report = exported_run
    file = run.folder.export.report
    assert type(report).read(file) == report
    assert json.loads(file.read_text())["verification"]["images"] == 32
