"""The exception for invalid input, and a check of it."""


class UsageError(ValueError):
    """Invalid input.

    The message names the value and what would be valid. The command line prints it without a
    traceback.
    """


def check_positive(**options: int) -> None:
    """Raise `UsageError` if an option of the command line, given by its name, is below 1."""
    for name, value in options.items():
        if value < 1:
            raise UsageError(f"--{name} must be at least 1, not {value}.")
