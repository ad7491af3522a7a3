"""Why something did not work, in sentences for those who started it."""


class Stop(Exception):
    """The run cannot go on. The text is a sentence with the way out."""


def in_words(error: Exception) -> str:
    """The first line of an error, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
