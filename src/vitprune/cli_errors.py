"""Turn the parser's long messages into a short one that lists what would have been valid."""

def explain(message: str) -> str:
    """x."""
    return message
