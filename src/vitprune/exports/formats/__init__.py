"""The formats of an export besides that of `transformers`, one class each."""
