"""Halves of surrogate pairs, which JSON can carry and text cannot."""


class SurrogateJoiner:
    """Joins halves that came in two pieces; what stays alone becomes U+FFFD."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """The next text, in characters that can be written."""
        if not text:
            return ""  # says nothing of what follows
        text, self._half = self._half + text, ""
        if text.isascii():
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return whole(text)

    def end(self) -> str:
        """What is left when no more comes."""
        half, self._half = self._half, ""
        return "\ufffd" if half else ""


def whole(text: str) -> str:
    """A text whose pairs are joined, and whose lone halves are replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
