"""Short forms on a command line."""

from vitprune.cli.arguments import command_to_resume


def test_the_command_to_resume_names_the_folder_of_runs(tmp_path):
    (tmp_path / "root.yaml").write_text("trainer: {default_root_dir: my runs}")
    config = f"--config={tmp_path}/root.yaml"
    option = "--trainer.default_root_dir"
    assert command_to_resume(["fit"]) == "fit --ckpt_path last"
    assert command_to_resume(["fit", f"{option}=a"]) == f"fit --ckpt_path last {option} a"
    assert command_to_resume(["fit", config]) == f"fit --ckpt_path last {option} 'my runs'"
    assert command_to_resume(["fit", config, option, "b"]).endswith(f"{option} b")
