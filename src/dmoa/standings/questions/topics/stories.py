"""Short stories with numbers: shops, trips, sharing, work."""

import random

from dmoa.standings.questions.item import Item, one_of
from dmoa.standings.questions.names import GOODS, PEOPLE, SHOPS, TOWNS


def draw(rng: random.Random) -> Item:
    """One of several kinds of stories."""
    return one_of(rng, (_change, _packs, _trip, _share, _sale, _wages, _tank, _ages))(rng)


def _change(rng: random.Random) -> Item:
    who, what, where = one_of(rng, PEOPLE), one_of(rng, GOODS), one_of(rng, SHOPS)
    price, n = rng.randint(2, 14), rng.randint(3, 25)
    note = next(bill for bill in (50, 100, 200, 500) if bill > price * n)
    text = one_of(
        rng,
        (
            f"{who} buys {n} {what} at {where} for {price} dollars each and hands over a"
            f" {note}-dollar note. How much change should there be?",
            f"At {where} {what} cost ${price} apiece. {who} takes {n} and pays with ${note}. How"
            " many dollars come back?",
            f"If {n} {what} at ${price} each are paid for with a ${note} bill, what is the change"
            " in dollars?",
        ),
    )
    return Item(text, (str(note - price * n),))


def _packs(rng: random.Random) -> Item:
    who, what = one_of(rng, PEOPLE), one_of(rng, GOODS)
    start, gone, packs, size = (
        rng.randint(30, 90),
        rng.randint(3, 25),
        rng.randint(2, 9),
        rng.randint(3, 12),
    )
    text = one_of(
        rng,
        (
            f"{who} had {start} {what}, lost {gone} of them and then bought {packs} packs of"
            f" {size}. How many {what} are there now?",
            f"There are {start} {what} in a box. {who} takes out {gone}, and later puts in"
            f" {packs} bags with {size} {what} each. How many are in the box in the end?",
        ),
    )
    return Item(text, (str(start - gone + packs * size),))


def _trip(rng: random.Random) -> Item:
    speed, hours, half = 10 * rng.randint(3, 12), rng.randint(2, 9), rng.randrange(2)
    here, there = rng.sample(TOWNS, 2)
    took = f"{hours} and a half hours" if half else f"{hours} hours"
    text = one_of(
        rng,
        (
            f"A bus goes from {here} to {there} at a steady {speed} km/h and needs {took}. How"
            " far apart are the two towns, in km?",
            f"I drove for {took} at {speed} kilometres per hour. How many kilometres was that?",
            f"{here} to {there} took {took} by train, on average {speed} km an hour. What"
            " distance is it in kilometres?",
        ),
    )
    return Item(text, (str(speed * hours + half * speed // 2),))


def _share(rng: random.Random) -> Item:
    people, each, left = rng.randint(3, 12), rng.randint(4, 30), rng.randint(0, 2)
    what, who = one_of(rng, GOODS), one_of(rng, PEOPLE)
    total = people * each + left
    if left:
        text = (
            f"{who} divides {total} {what} equally among {people} children and keeps what is left"
            f" over. How many does {who} keep?"
        )
        return Item(text, (str(left),))
    return Item(
        f"{total} {what} are shared equally by {people} people. How many does each of them get?",
        (str(each),),
    )


def _sale(rng: random.Random) -> Item:
    price, percent = 20 * rng.randint(2, 40), 5 * rng.randint(1, 12)
    thing = one_of(rng, ("coat", "bicycle", "lamp", "desk", "camera", "sofa", "phone", "tent"))
    text = one_of(
        rng,
        (
            f"A {thing} that normally costs ${price} is {percent}% off this week. What do I pay, in"
            " dollars?",
            f"The price of a {thing} was {price} euros and went down by {percent} percent. What"
            " is it now?",
        ),
    )
    return Item(text, (str(price - price * percent // 100),))


def _wages(rng: random.Random) -> Item:
    who = one_of(rng, PEOPLE)
    rate, hours, days, spent = (
        rng.randint(11, 38),
        rng.randint(3, 8),
        rng.randint(3, 6),
        rng.randint(20, 90),
    )
    text = (
        f"{who} earns {rate} dollars an hour and works {hours} hours a day, {days} days a week."
        f" After spending {spent} dollars on food, how much of one week's pay is left?"
    )
    return Item(text, (str(rate * hours * days - spent),))


def _tank(rng: random.Random) -> Item:
    flow, minutes, leak = rng.randint(6, 30), rng.randint(5, 40), rng.randint(1, 5)
    start = 10 * rng.randint(1, 20)
    text = (
        f"A tank holds {start} litres. Water runs in at {flow} litres a minute while {leak}"
        f" litres a minute leak out. How many litres are in it after {minutes} minutes?"
    )
    return Item(text, (str(start + (flow - leak) * minutes),))


def _ages(rng: random.Random) -> Item:
    first, second = rng.sample(PEOPLE, 2)
    age, gap, years = rng.randint(5, 40), rng.randint(2, 20), rng.randint(3, 15)
    text = (
        f"{first} is {age} and {second} is {gap} years older. How old will {second} be {years}"
        " years from now?"
    )
    return Item(text, (str(age + gap + years),))
