"""Lists of numbers as they are written on a command line: `1` or `1,1,1,4`."""

from dmoa.errors import UsageError


def parse_numbers(flag: str, text: str | None) -> float | list[float] | None:
    """One number, or several between commas.

    Raises:
        UsageError: a part is no number; names the flag.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{flag} is {text!r}; use a number, or numbers like 1,1,1,4") from None
    return numbers if len(numbers) > 1 else numbers[0]


def parse_whole_numbers(flag: str, text: str | None) -> int | list[int] | None:
    """One whole number, or several between commas.

    Raises:
        UsageError: a part is no whole number; names the flag.
    """
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{flag} is {text!r}; use a whole number, or several: 1,1,2") from None
    return numbers if len(numbers) > 1 else numbers[0]
