"""Text helpers for errors that users read."""


def shortened(text: str) -> str:
    """At most 80 characters of what a user gave, for an error message."""
    return text if len(text) <= 80 else text[:77] + "..."
