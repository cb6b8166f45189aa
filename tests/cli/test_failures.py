"""Bad input ends in one message."""

import pytest

from tests.cli.arguments import ITERATIVE
from vitprune.cli.main import main
from vitprune.model.names import EMBEDDED

BAD = {
    "unknown key": ([*ITERATIVE, "--data.sorce=x"], "Did you mean data.source?"),
    "unknown section": (
        ["fit", "--config", "{tmp}/section.yaml"],
        "unknown key foo. Valid are ckpt_path, weights_only, checkpoint, config, data, ",
    ),
    "no abbreviations": (
        [*ITERATIVE, "--trainer.max_epoch=3"],
        "Did you mean --trainer.max_epochs?",
    ),
    "unknown option of a subcommand": (
        ["export", "--fromats=pt2", *ITERATIVE[1:]],
        "Did you mean --formats? Valid are --ckpt_path, --output, --formats, --shrink, --dtype, ",
    ),
    "unknown parent": (
        [*ITERATIVE, "--pruning.schedul.end=4"],
        "unknown option --pruning.schedul.end. Did you mean --pruning.schedule.end? Valid under "
        "--pruning are allocation, ",
    ),
    "unknown section on the command line": (
        [*ITERATIVE, "--trainr.max_epochs=4"],
        "Did you mean --trainer.max_epochs?",
    ),
    "unknown family": (
        ["fit", "--data.source=digits", "--model.architecture={model_type: 0.5}"],
        "transformers has no model_type 0.5. Use for example 'vit', 'deit' or 'swin'.",
    ),
    "any accuracy": (
        [*ITERATIVE, "--pruning.schedule={class_path: AccuracyGuarded, init_args: {max_drop: 2}}"],
        "max_drop 2 of AccuracyGuarded accepts any accuracy: val/accuracy lies in [0, 1].",
    ),
    "unknown class": (
        [*ITERATIVE, "--pruning.criterion=Magnitud"],
        "'Magnitud' is not known. Did you mean Magnitude? Valid are Fisher, Magnitude, ",
    ),
    "unknown argument": (
        [*ITERATIVE, "--pruning.schedule.init_args.final=0.5"],
        "Valid under pruning.schedule are begin",
    ),
    "sparsity": (
        [*ITERATIVE, "--pruning.schedule.init_args.final_sparsity=1.5"],
        "must lie in [0, 1), not 1.5",
    ),
    "roles": ([*ITERATIVE, "--pruning.layers.roles=[querry]"], "valid are query, key"),
    "pattern": (
        [*ITERATIVE, "--pruning.layers.names=[foo]"],
        "q_proj  (role query, blocks 0 to 5)",
    ),
    "schedule too long": (
        [*ITERATIVE, "--trainer.max_epochs=3"],
        "Set trainer.max_epochs to at least",
    ),
    "type": (
        [*ITERATIVE, "--trainer.max_epochs=abc"],
        "trainer.max_epochs must be an integer or null, not abc.",
    ),
    "no schedule": (
        ["fit", "--config", "{tmp}/noschedule.yaml"],
        "missing pruning.schedule, which is required. Valid are ",
    ),
    "missing configuration": (
        ["fit", "--config", "nope.yaml"],
        "dense.yaml, faster.yaml, imagenet_vit_base.yaml",
    ),
    "broken YAML": (["fit", "--config", "{tmp}/broken.yaml"], "broken.yaml is not valid YAML"),
    "missing model": ([*ITERATIVE, "--model.pretrained=./none"], "'./none' is not a folder"),
    "unreachable model": ([*ITERATIVE, "--model.pretrained=nobody/nothing"], "could not be loaded"),
    "missing data": ([*ITERATIVE, "--data.source=/nowhere"], "'/nowhere' is not a folder"),
    "no model": (["fit", "--data.source=digits"], "either model.pretrained"),
    "no data": (
        ["fit", "--model.pretrained=digits", "--trainer.max_epochs=1"],
        "data.source is not set",
    ),
    "missing checkpoint": ([*ITERATIVE, "--ckpt_path=none.ckpt"], "no checkpoint 'none.ckpt'"),
    "no run to continue": (
        [*ITERATIVE, "--ckpt_path=last", "--trainer.default_root_dir={tmp}"],
        "no run in",
    ),
    "an export to go on from": (
        ["fit", "--ckpt_path", str(EMBEDDED["digits"])],
        "is an exported model, not a checkpoint",
    ),
    "a folder to go on from": (["fit", "--ckpt_path={tmp}"], "is a folder without checkpoints"),
    "a configuration to go on from": (
        [*ITERATIVE, "--ckpt_path={tmp}/section.yaml"],
        "is not a checkpoint",
    ),
    "missing checkpoint to validate": (
        ["validate", *ITERATIVE[1:], "--ckpt_path=no.ckpt"],
        "no checkpoint 'no.ckpt'",
    ),
    "image size": ([*ITERATIVE, "--data.image_size=33"], "multiple of the model's patch size 4"),
    "two image sizes": (
        [*ITERATIVE, "--data.image_size=32", "--model.image_size=16"],
        "data.image_size is 32, but model.image_size 16",
    ),
    "a Trainer's own": (
        [*ITERATIVE, "--trainer.val_check_interval=1000"],
        "must be less than or equal",
    ),
    "verb": (
        ["fitt"],
        "unknown subcommand fitt. Did you mean fit? Valid are fit, validate, test, ",
    ),
    "accelerator": ([*ITERATIVE, "--trainer.accelerator=foo"], "Valid are gpu, auto, "),
    "batch": ([*ITERATIVE, "--data.batch_size=5000"], "less than a batch of 5000"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_message(case, tmp_path, capsys):
    (tmp_path / "section.yaml").write_text("model: {pretrained: digits}\nfoo: 3\n")
    (tmp_path / "broken.yaml").write_text("model: [\n")
    (tmp_path / "noschedule.yaml").write_text(
        "model: {pretrained: digits}\npruning: {criterion: Magnitude}\n"
    )
    arguments, message = BAD[case]
    with pytest.raises(SystemExit) as stopped:
        main(
            [a.replace("{tmp}", str(tmp_path)) for a in arguments]
            + ([] if case == "verb" else [f"--trainer.default_root_dir={tmp_path}"])
        )
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("vitprune: error: ")
    assert message in error
    assert "Traceback" not in error
    assert len(error) < 1500
