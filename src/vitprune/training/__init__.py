"""The parts that hook into a Trainer."""
