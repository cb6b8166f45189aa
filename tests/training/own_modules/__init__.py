"""The callback in LightningModules and trainings as users write them."""
