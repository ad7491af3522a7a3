"""Why something did not work, in sentences for those who started it."""

import sys
from collections.abc import Callable


class Stop(Exception):
    """The run cannot go on. The text is a sentence with the way out."""


def ended(command: Callable[[], int | None]) -> int:
    """The exit code of a command; where it stops, or somebody stops it, the reason is on stderr."""
    try:
        return command() or 0
    except Stop as reason:
        print(f"\n{reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. What is finished is kept.", file=sys.stderr)
        return 130


def in_words(error: Exception) -> str:
    """The first line of an error, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
