r"""Whether a free reply gives one of the right answers: exactly, and tolerantly.

A reply is reduced to its `final_statements`: what follows the last "Answer:", the content of the
last `\boxed{}`, or its last sentences, of which the last one counts that does not merely comment
("This is because ..."). In it, numbers are compared as numbers (thousands separators, units,
currencies, LaTeX, words for small numbers), days and months as the last one named, letters of
options as the first thing said, symbols of one or two letters with their case, and all else as
whole words without accents and case. A reply that lists several possibilities has not answered.

How often this errs, against reading: docs/quality.md.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

LONGEST = 20_000
"""Characters of a reply that are looked at, from its end."""
SENTENCES = 4
"""Of a reply without a marked answer, from its end, that may give it."""
BOXES = 4
"""Of a reply, from its end, that are looked at until one is closed."""
LONGEST_STATEMENT = 400
"""Characters of a statement that can give an answer in words; longer ones tell a story."""

_MARK = re.compile(
    r"(?<!this )\bans(?:wers?)?\b(?:\s+to\b[^.:\n]{0,80}?)?[*_\"']*\s*(?:[:=]|\bis\b\s*:?|$)",
    re.IGNORECASE | re.MULTILINE,
)
_COMMENT = re.compile(
    r"^(?:it|its|they|these|those|there|note|he|she"
    r"|the (?:result|program|output|final value|value) (?:is )?then"
    r"|this (?:answer|can|city|element|number|program|code|result"
    r"|is because|is the number|is a|means that the))\b",
    re.IGNORECASE,
)
_ITEM = re.compile(r"^\s*(?:\d{1,2}[.)]|[-•*])\s+(?=\S)")
_REASON = re.compile(r",?\s+because\b.*", re.IGNORECASE | re.DOTALL)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_LATEX = (
    (re.compile(r"\{,\}|\\[,;!:]"), ""),
    (re.compile(r"\\[dt]?frac\s*\{(-?\d+)\}\s*\{(\d+)\}"), r"\1/\2"),
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf|operatorname|texttt)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\(?:times|cdot)\b"), "*"),
    (re.compile(r"\\[()\[\]]|\$(?=\S)|(?<=\S)\$|\\[%$#&_]|\\\s"), " "),
)
_SENTENCE = re.compile(r"(?<=[.!?])[\"'*)]*\s+(?=[A-Z0-9\"'(*])")
_ABBREVIATION = re.compile(r"\b(?:St|Mr|Mrs|Dr|Mt|No|e\.g|i\.e|[A-Z])\.$")
_NUMBER = re.compile(
    r"(?<![\w.])(?:(?:minus|negative)\s+)?[-+]?"
    r"(?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)?(?:\.\d+|(?<=\d))"
    r"(?:\s*/\s*\d+(?![\d/]|\.\d))?",
    re.IGNORECASE,
)
_IS = re.compile(r"(?<![<>!=])=+|\b(?:is|are|was|be|equals?|becomes|costs?)\b|:|→|⇒", re.IGNORECASE)
_SEPARATORS = re.compile(r"[^\w.'+#-]+")
_OPTION = re.compile(
    r"^(?:the\s+)?(?:(?:correct|right|best|final)\s+)?(?:(?:option|letter|choice|answer)\s*(?:is)?\s*)*"
    r"[\s:*_\"'([{]*([A-J])(?=\s*$|\s*[)\]}.:,;*_\"]|\s+(?:is|because|since|as)\b)",
)
_ABOUT_SYMBOLS = re.compile(r"\b(?:symbol|abbreviation|code|letter|answer)", re.IGNORECASE)

_EITHER = re.compile(r"\b(?:yes or no|no or yes|true or false|false or true)\b", re.IGNORECASE)

_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TEENS = ("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen")
_MORE = ("eighteen", "nineteen", "twenty")
NUMBER_WORDS = {word: Fraction(i) for i, word in enumerate((*_SMALL, *_TEENS, *_MORE))}
_DAYS = frozenset(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))
_SPRING = ("january", "february", "march", "april", "may", "june")
_AUTUMN = ("july", "august", "september", "october", "november", "december")
_MONTHS = frozenset((*_SPRING, *_AUTUMN))
_YES = frozenset({"yes", "no"})
_TRUE = frozenset({"true", "false"})
CLOSED = (_DAYS, _MONTHS, _YES, _TRUE)
"""Sets of which an answer is one: another one named later is another answer."""
FIRST_COUNTS = (_YES, _TRUE)
"""Those of which the first counts: "No, although yes would be nice"."""


def is_right(reply: str, answers: Sequence[str]) -> bool:
    """Whether a reply gives any of the answers."""
    statements = final_statements(reply)
    return any(_gives(statements, answer) for answer in answers)


def final_statements(reply: str) -> list[str]:
    """The parts of a reply that may give its answer, without formatting, likeliest first."""
    text = unicodedata.normalize("NFC", reply[-LONGEST:]).rpartition("</think>")[2]
    text = text.replace("−", "-").replace("–", "-").replace("\u202f", " ").replace("\u00a0", " ")
    boxed = _last_boxed(text)
    marks = list(_MARK.finditer(text))
    if boxed and not (marks and marks[-1].end() > boxed[1] and _says(text[marks[-1].end() :])):
        return [_plain(boxed[0])]
    for mark in reversed(marks):
        told = text[mark.end() :].strip()
        if _says(told):
            return [_plain(next(line for line in told.splitlines() if _says(line)))]
    plain = _plain(text)
    return _last_sentences(plain)


def _gives(statements: Sequence[str], answer: str) -> bool:
    """Whether the first statement that can give an answer of this kind gives this one."""
    numeric = number(answer) is not None
    can = _mentions_number if numeric else _mentions(_words(answer))
    likely = [s for s in statements if can(s) and not s.endswith("?")]
    # "He has 50 - 32 = 18 dollars left" is no comment.
    said = [s for s in likely if not _COMMENT.match(s) or (numeric and "=" in s)] or likely
    return bool(said) and states(said[0], answer)


def _mentions_number(statement: str) -> bool:
    return any(True for _ in _numbers(statement)) or not NUMBER_WORDS.keys().isdisjoint(
        _words(statement)
    )


def _mentions(meant: list[str]) -> Callable[[str], bool]:
    """Tells whether a statement names one of the answer's closed set, if it is of one."""
    for closed in CLOSED:
        if len(meant) == 1 and meant[0] in closed:
            return lambda statement: not closed.isdisjoint(_words(statement))
    return lambda statement: True


def _says(told: str) -> bool:
    return any(sign.isalnum() for sign in told)


def _last_boxed(text: str) -> tuple[str, int] | None:
    """The content of the last box, braces balanced, and where the box ends."""
    # The last few only: a text of boxes that never close would take long.
    for mark in reversed([*_BOXED.finditer(text)][-BOXES:]):
        depth = 1
        for end in range(mark.end(), len(text)):
            depth += (text[end] == "{") - (text[end] == "}")
            if not depth:
                return text[mark.end() : end], end
    return None


def _plain(text: str) -> str:
    for pattern, instead in _LATEX:
        text = pattern.sub(instead, text)
    text = re.sub(
        r"[*_`~]{2,}|(?<![\w*])[*_`]|(?<=\w)[*`](?!\w)|^#+\s", "", text, flags=re.MULTILINE
    )
    return re.sub(r"[ \t]+", " ", text).strip()


def _last_sentences(text: str) -> list[str]:
    """Sentences of the last lines, last first, at most SENTENCES."""
    found: list[str] = []
    for line in reversed(text.splitlines()):
        bare = _ITEM.sub("", line)
        parts = [part for part in _SENTENCE.split(bare) if _says(part)]
        while parts and len(found) < SENTENCES:
            last = parts.pop()
            while parts and _ABBREVIATION.search(parts[-1]):
                last = f"{parts.pop()} {last}"
            found.append(last)
    return found


def states(statement: str, answer: str) -> bool:
    """Whether a statement gives this answer."""
    value = number(answer)
    if value is not None:
        return _states_number(statement, answer, value)
    if re.fullmatch(r"[A-Ja-j]", answer) and (letter := _OPTION.match(statement)):
        return letter[1] == answer.upper() and not _alternatives(statement)
    if len(answer) <= 2:
        return _states_symbol(statement, answer)
    meant = _words(answer)
    if not meant:
        return False
    for closed in CLOSED:
        if meant[0] in closed and len(meant) == 1:
            named = [word for word in _words(statement) if word in closed]
            if not named or (closed in FIRST_COUNTS and _EITHER.search(statement)):
                return False
            return named[0 if closed in FIRST_COUNTS else -1] == meant[0]
    if len(statement) > LONGEST_STATEMENT + len(answer) or _alternatives(statement, answer):
        return False
    return _contains(_words(statement), meant)


# --- numbers ---------------------------------------------------------------------------------


def number(text: str) -> Fraction | None:
    """The number that a whole text is, with or without a sign of a currency or percent."""
    bare = text.strip().strip("$€£% ").replace("−", "-")
    if found := _NUMBER.fullmatch(bare):
        return _value(found[0])
    return NUMBER_WORDS.get(bare.casefold())


def _value(text: str) -> Fraction | None:
    bare = text.casefold()
    sign = -1 if bare.startswith(("minus", "negative")) else 1
    bare = re.sub(r"minus|negative|[, ]", "", bare)
    try:
        return sign * Fraction(bare)
    except (ValueError, ZeroDivisionError):
        return None


def _numbers(statement: str) -> Iterator[tuple[Fraction, int, int]]:
    """Numbers in order, each with where it begins and ends."""
    for found in _NUMBER.finditer(statement):
        value = _value(found[0]) if any(sign.isdigit() for sign in found[0]) else None
        if value is not None:
            yield value, found.start(), found.end()


def _states_number(statement: str, answer: str, value: Fraction) -> bool:
    told = _REASON.sub("", statement)
    found = list(_numbers(told))
    if not found:
        words = [NUMBER_WORDS[w] for w in _words(statement) if w in NUMBER_WORDS]
        return len(set(words)) == 1 and words[0] == value
    stated = _meant(told, found)
    return abs(stated - value) <= _tolerance(answer, value)


def _meant(statement: str, found: list[tuple[Fraction, int, int]]) -> Fraction:
    """The number that a statement is about: what its last "is" says, else the last number."""
    if len({value for value, _, _ in found}) == 1:
        return found[0][0]
    for says in reversed(list(_IS.finditer(statement))):
        if told := [value for value, start, _ in found if start >= says.end()]:
            # "= 12 cups in 3 boxes"
            return told[0]
    return found[-1][0]


def _tolerance(answer: str, value: Fraction) -> Fraction:
    """Half of the last decimal that the answer gives; whole numbers are exact."""
    _, point, decimals = answer.strip().strip("$€£% ").partition(".")
    if not point:
        return abs(value) / 10**9
    return Fraction(1, 2 * 10 ** len(decimals))


# --- words -----------------------------------------------------------------------------------


def _words(text: str) -> list[str]:
    """Words without accents, case and outer punctuation; articles left out."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().replace("’", "'"))
    bare = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    words = (word.strip(".'-") for word in _SEPARATORS.split(bare.replace("-", " ")))
    return [word for word in words if word and word not in {"the", "a", "an"}]


def _contains(words: list[str], meant: list[str]) -> bool:
    places = range(len(words) - len(meant) + 1)
    return any(
        words[i : i + len(meant)] == meant and (i == 0 or words[i - 1] not in {"not", "isn't"})
        for i in places
    )


def _states_symbol(statement: str, answer: str) -> bool:
    """An answer of one or two letters: with its case, and where an answer stands."""
    tokens = [token.strip(".,;!?\"'`()[]{}*") for token in statement.split()]
    tokens = [token for token in tokens if token]
    if not tokens:
        return False
    said = [m.end() for m in _IS.finditer(statement)]
    told = re.findall(r"[^\s\"'`()\[\]{}*.,;!?]+", statement[said[-1] :]) if said else []
    places = [tokens[-1], *(told[:1]), *tokens[:1]]
    if len(tokens) > 1 and not _ABOUT_SYMBOLS.search(statement):
        places = places[:-1]  # "I am not sure", "He is a good man"
    return answer in places


def _alternatives(statement: str, answer: str = "") -> bool:
    """Whether a statement offers several answers: "Paris or Rome", "Oslo, Rome, Paris, Bern"."""
    rest = statement.casefold().replace(answer.casefold(), "x")
    if re.search(r"(?:^|[\s:])\S+\s+or\s+\S+[.!]?$", rest) and "or more" not in rest:
        return True
    return rest.count(",") + rest.count(";") + rest.count("/") >= 4
