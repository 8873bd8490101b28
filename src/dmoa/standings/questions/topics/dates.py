"""Days, dates and times of day."""

import calendar
import datetime
import random

from dmoa.standings.questions.item import Item, one_of

_DAYS = tuple(calendar.day_name)
_MONTHS = tuple(calendar.month_name)[1:]


def draw(rng: random.Random) -> Item:
    """A weekday, a date, a number of days, or a time of day."""
    return one_of(rng, (_weekday, _weekday_of_date, _later, _between, _clock, _duration))(rng)


def _date(rng: random.Random) -> datetime.date:
    return datetime.date(2021, 1, 1) + datetime.timedelta(days=rng.randrange(365 * 12))


def _said(day: datetime.date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _spellings(day: datetime.date) -> tuple[str, ...]:
    month = _MONTHS[day.month - 1]
    suffix = "th" if 10 < day.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    dates = (f"{day.day} {month}", f"{month} {day.day}", f"{day.day}{suffix} {month}")
    more = (f"{month} {day.day}{suffix}", f"{day.day}{suffix} of {month}", day.isoformat())
    return (*dates, *more)


def _weekday(rng: random.Random) -> Item:
    today, days = rng.randrange(7), rng.randint(8, 120)
    text = one_of(
        rng,
        (
            f"If today is {_DAYS[today]}, which day of the week is it in {days} days?",
            f"Today is {_DAYS[today]}. What weekday will it be {days} days from now?",
            f"My parcel was sent on a {_DAYS[today]} and takes exactly {days} days. On which"
            " weekday does it arrive?",
        ),
    )
    return Item(text, (_DAYS[(today + days) % 7],))


def _weekday_of_date(rng: random.Random) -> Item:
    day = _date(rng)
    later = day + datetime.timedelta(days=rng.randint(2, 25))
    text = f"{_said(day)} was a {_DAYS[day.weekday()]}. What day of the week was {_said(later)}?"
    return Item(text, (_DAYS[later.weekday()],))


def _later(rng: random.Random) -> Item:
    day, days = _date(rng), rng.randint(10, 75)
    text = one_of(
        rng,
        (
            f"What date is {days} days after {_said(day)}?",
            f"The invoice is dated {_said(day)} and is due {days} days later. What is the due"
            f" date?",
        ),
    )
    return Item(text, _spellings(day + datetime.timedelta(days=days)))


def _between(rng: random.Random) -> Item:
    day, days = _date(rng), rng.randint(12, 90)
    later = day + datetime.timedelta(days=days)
    text = f"How many days are there from {_said(day)} to {_said(later)}?"
    return Item(text, (str(days),))


def _clock(rng: random.Random) -> Item:
    start, minutes = rng.randrange(24 * 60), rng.randint(25, 400)
    end = (start + minutes) % (24 * 60)
    text = one_of(
        rng,
        (
            f"A film starts at {_time(start)} and runs for {minutes} minutes. When is it over?",
            f"It is {_time(start)}. What time will it be in {minutes} minutes? (24-hour clock)",
        ),
    )
    return Item(text, _times(end))


def _time(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _times(minutes: int) -> tuple[str, ...]:
    hour, minute = divmod(minutes, 60)
    half = f"{(hour - 1) % 12 + 1}:{minute:02d}"
    suffix = "pm" if hour >= 12 else "am"
    dotted = "p.m." if hour >= 12 else "a.m."
    said = (f"{hour:02d}:{minute:02d}", f"{hour}:{minute:02d}")
    return (*said, f"{half} {suffix}", f"{half}{suffix}", f"{half} {dotted}")


def _duration(rng: random.Random) -> Item:
    start, minutes = rng.randrange(16 * 60), rng.randint(35, 470)
    text = (
        f"A shift goes from {_time(start)} to {_time(start + minutes)} on the same day. How many"
        " minutes is that?"
    )
    return Item(text, (str(minutes),))
