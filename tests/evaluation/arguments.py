"""Arguments that make a subcommand small."""

ARGUMENTS = [
    "--model.pretrained=digits",
    "--data.source=digits",
    "--data.max_images={validation: 40}",
    "--data.num_workers=0",
    "--trainer.enable_progress_bar=false",
    "--trainer.accelerator=cpu",
]
