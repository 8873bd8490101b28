"""Free replies in the ways in which small LLMs write them; all invented."""

import pytest

from dmoa.standings.grading import is_right, number

RIGHT = [
    ("Answer: 42", "42"),
    ("First 6 * 7 = 42. So the answer is 42.", "42"),
    ("It costs $1,208 in all.\n\nAnswer: $1,208", "1208"),
    ("The sum is \\(\\boxed{1{,}208}\\).", "1208"),
    ("\\[ 3 \\times 4 = \\boxed{12 \\text{ cups}} \\]", "12"),
    ("Total: 12 cups.\nTherefore, the total number of", "12"),
    ("**Answer:** 7.5 km", "7.5"),
    ("Answer: 7.50", "7.5"),
    ("Roughly 3.1416", "3.14"),
    ("The result is -3", "-3"),
    ("minus 3", "-3"),
    ("Answer: −3", "-3"),
    ("It is three.", "3"),
    ("9 500 dollars", "9500"),
    ("He has 20 - 8 = 12 dollars left.", "12"),
    ("The program prints 5. This is because the division of 10 by 2 gives 5.", "5"),
    ("It prints 3 because the set has the elements 7, 8 and 9.", "3"),
    ("The answer is \\frac{1}{2}.", "0.5"),
    ("The capital of Ruritania is Strelsau.", "Strelsau"),
    ("Strelsau. It is also the largest city, with a fine river.", "Strelsau"),
    ("Answer: São Tomé", "Sao Tome"),
    ("the answer is: the *Blue Danube*", "Blue Danube"),
    ("Helium has the symbol He.", "He"),
    ("He", "He"),
    ('The symbol is "I".', "I"),
    ("2 days after Friday is Sunday", "Sunday"),
    ("Yes, although many say no.", "yes"),
    ("B) the second one", "B"),
    ("The correct answer is B.", "B"),
    ("(C)", "C"),
    ("<think>It might be 5.</think>\n6", "6"),
    ("ans: 17", "17"),
    ("Strelsau.\n\nThis answer is in two words, and ends here.", "Strelsau"),
    ("## Answer\n\n17", "17"),
    ("17", "17.0"),
    ("2,007 m", "2007"),
]
WRONG = [
    ("Answer: 43", "42"),
    ("6 * 7 = 42, but the answer is 43.", "42"),
    ("", "42"),
    ("I do not know.", "42"),
    ("Answer: 3.2", "3.14"),
    ("The result is 3", "-3"),
    ("It could be Paris, Rome, Oslo, Bern, or Strelsau", "Strelsau"),
    ("Paris or Strelsau", "Strelsau"),
    ("It is not Strelsau.", "Strelsau"),
    ("Strelsauer Platz", "Strelsau"),
    ("He is a good man.", "He"),
    ("I am not sure.", "I"),
    ("As a language model I cannot say.", "As"),
    ("Sunday + 7 days = Monday", "Sunday"),
    ("No, although many say yes.", "yes"),
    ("A) the first one", "B"),
    ("A or B", "A"),
    ("5. Now we add everything up, so", "5"),
    ("Answer: 12.5", "12"),
    ("Is it Strelsau?", "Strelsau"),
    ("Are all of them red, yes or no", "yes"),
]


@pytest.mark.parametrize(("reply", "answer"), RIGHT)
def test_right_replies_are_right(reply: str, answer: str) -> None:
    assert is_right(reply, [answer])


@pytest.mark.parametrize(("reply", "answer"), WRONG)
def test_wrong_replies_are_wrong(reply: str, answer: str) -> None:
    assert not is_right(reply, [answer])


def test_any_of_several_answers_counts() -> None:
    assert is_right("Answer: 14:30", ["2:30 pm", "14:30"])
    assert not is_right("Answer: 14:40", ["2:30 pm", "14:30"])


def test_a_reply_of_many_megabytes_is_graded_by_its_end() -> None:
    assert is_right("so it goes on " * 500_000 + "\nAnswer: 4", ["4"])
    assert not is_right("{" * 200_000 + "\\boxed{" * 20_000, ["4"])


@pytest.mark.parametrize(
    ("text", "value"), [("1,000.5", 1000.5), ("twelve", 12), ("$3", 3), ("3 apples", None)]
)
def test_numbers(text: str, value: float | None) -> None:
    assert number(text) == value
