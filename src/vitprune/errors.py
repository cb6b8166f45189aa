"""The one exception that means: the input is at fault, and this sentence says how to mend it."""


class UsageError(ValueError):
    """Input that cannot work. The message names the thing and what would be valid; no traceback is needed."""
