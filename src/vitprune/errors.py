"""The exception for invalid input."""


class UsageError(ValueError):
    """Invalid input.

    The message names the value and what would be valid. The command line prints it without a
    traceback.
    """
