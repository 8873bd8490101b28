"""Questions from outside the world of PocketQA, to train the answer to them.

The forms are made by hand and filled at random. Real countries are asked about in PocketQA's
own forms too: the models learn their names.
"""

import random

from dmoa.evaluation.pocketqa.forms import ATTRIBUTES, FACT_FORMS, NOUNS, PREFIXES, TRAIN

COUNTRIES = (
    "France Germany Italy Spain Austria Poland Greece Turkey Norway Sweden Finland Denmark"
    " Ireland Iceland Belgium Switzerland England Scotland Wales Russia Ukraine Hungary Romania"
    " Bulgaria Serbia Croatia Albania Egypt Morocco Algeria Tunisia Libya Sudan Ethiopia Kenya"
    " Uganda Tanzania Zambia Zimbabwe Angola Nigeria Ghana Senegal Mali Namibia China Japan"
    " Korea Mongolia Vietnam Thailand Laos Cambodia Malaysia Indonesia India Pakistan Nepal"
    " Bangladesh Iran Iraq Syria Israel Jordan Yemen Oman Qatar Canada Mexico Cuba Jamaica"
    " Haiti Panama Colombia Venezuela Brazil Peru Bolivia Chile Argentina Uruguay Paraguay"
    " Ecuador Australia America Europe Africa Asia Texas California"
).split()
COUNTRIES += ["the USA", "the United States", "New Zealand", "South Africa", "Saudi Arabia"]
_PLACES = (
    "Paris London Rome Berlin Madrid Vienna Tokyo Beijing Moscow Cairo Delhi Sydney Boston"
    " Chicago Lisbon Athens Dublin Oslo Prague Venice Mumbai Singapore"
).split()
_PEOPLE = (
    "Einstein|Newton|Shakespeare|Mozart|Napoleon|Caesar|Cleopatra|Gandhi|Darwin|Picasso|Lincoln|"
    "Beethoven|Plato|Aristotle|Marie Curie|Alan Turing|my mother|my boss|the president|the king|"
    "a friend|my teacher|Harry Potter|Batman|Elon Musk|Taylor Swift"
).split("|")
_TOPICS = (
    "love|the sea|football|photosynthesis|gravity|quantum physics|black holes|the moon|climate"
    " change|machine learning|neural networks|the French Revolution|the Roman Empire|World War"
    " Two|inflation|taxes|the stock market|bitcoin|electric cars|solar power|cooking|baking"
    " bread|pasta|coffee|chess|guitars|jazz|opera|painting|poetry|philosophy|psychology|history|"
    "biology|chemistry|mathematics|geometry|algebra|Python|Java|databases|computers|the internet|"
    "smartphones|dinosaurs|dogs|cats|birds|bees|trees|gardening|yoga|running|sleep|vitamins|"
    "headaches|a cold|diabetes|happiness|friendship|marriage|children|schools|universities|"
    "a job interview|a birthday|Christmas|holidays|travel|hotels|airplanes|trains|bicycles|cars|"
    "houses|furniture|clothes|shoes|movies|books|video games|robots|space travel|aliens|ghosts|"
    "dreams|time|money|politics|democracy|law|religion|language|grammar|an email|a letter|a list"
).split("|")
_VERBS = (
    "make fix write cook sell buy build clean draw learn teach sing play explain repair paint"
    " choose find use grow open close cut move sort translate improve"
).split()
_THINGS = (
    "a cake|a website|a table|a poem|a song|a shirt|a phone|an essay|a house|a garden|a story|"
    "a program|a function|pancakes|soup|rice|a bridge|a plan|a budget|a game|the piano|a bike|"
    "a resume|a speech|a report|a photo|a tent|a boat|a fish|an app"
).split("|")
_LANGUAGES = "French German Spanish Italian Latin Chinese Japanese Arabic Russian English".split()
_FORMS = (
    "Write a poem about {topic}.|Write a short story about {topic}.|Tell me about {topic}.|"
    "What is {topic}?|What are {topic}?|Why is {topic} important?|Explain {topic} to a child.|"
    "Explain how {topic} works.|How does {topic} work?|Give me five facts about {topic}.|"
    "Summarize the history of {topic}.|What do you think about {topic}?|Do you like {topic}?|"
    "I am writing about {topic}. Can you help me?|What is the difference between {topic} and"
    " {topic2}?|Compare {topic} with {topic2}.|Is {topic} better than {topic2}?|"
    "Make a list of ten ideas for {topic}.|Who invented {topic}?|When did {topic} begin?|"
    "Where can I find {topic}?|Who is {person}?|Who was {person}?|When was {person} born?|"
    "What did {person} say about {topic}?|Write a letter to {person} about {topic}.|"
    "What would {person} think of {topic}?|Tell me a joke about {person}.|Tell me a joke.|"
    "How do I {verb} {thing}?|How can I {verb} {thing}?|What is the best way to {verb} {thing}?|"
    "Please help me {verb} {thing}.|Why should I {verb} {thing}?|Can you {verb} {thing} for me?|"
    "I want to {verb} {thing}. What do I need?|How long does it take to {verb} {thing}?|"
    "How much does {thing} cost?|Translate {thing} into {language}.|How do you say {topic} in"
    " {language}?|What does {topic} mean in {language}?|Say hello in {language}.|"
    "What is the weather in {place}?|How far is it from {place} to {place2}?|What can I see in"
    " {place}?|Plan a trip to {place} for three days.|How many people live in {place}?|"
    "How many people live in {country}?|Who is the president of {country}?|What is the largest"
    " city in {country}?|What language do they speak in {country}?|When did {country} win the"
    " world cup?|Is {country} bigger than {country2}?|How do I get a visa for {country}?|"
    "Hello|Hi|Hello!|Hi there|Hey|Good morning|Good evening.|How are you?|How are you today?|"
    "Who are you?|What are you?|What is your name?|What can you do?|Can you help me?|Help|Help me.|"
    "Thank you.|Thanks!|Bye|Goodbye.|Are you a robot?|Are you sure?|Do you dream?|Who made you?|"
    "What time is it?|What day is it today?|What is the meaning of life?|Why is the sky blue?|"
    "Why is the grass green?|What should I eat tonight?|I am sad.|I am bored. What should I do?|"
    "I love you.|Sing a song.|test|Test.|ok|yes|no|?|...|hello world|ping|"
    "Once upon a time there was {thing}.|My name is {person} and I like {topic}.|"
    "def main(): print({n})|for i in range({n}): print(i)|SELECT * FROM users;|"
    "import numpy as np|<html><body>{topic}</body></html>|"
    "Write a Python function that can {verb} {thing}.|Fix this code: x = [{n}, {m}|"
    "What is the square root of {n}?|Is {n} a prime number?|What is {n} percent of {m}?|"
    "Divide {n} by {m}.|What is {n} to the power of {m}?|Solve x + {n} = {m}.|"
    "What is the name of the largest planet?|How many planets are there?|What is H2O?|"
    "Which team won the game in {place} in 20{n}?|What happened in 19{n}?|"
    "Answer the following question: what is {topic}?|You are a helpful assistant. Tell me about"
    " {topic}.|Please rewrite this sentence: {person} likes {topic} and {topic2}.|"
    "Classify this text: {person} loves {thing} from {place}.|Is this true: {topic} can {verb}"
    " {thing}?|Give me a recipe with {topic} and {topic2}.|What rhymes with {topic}?|"
    "Finish this sentence: {person} went to {place} to {verb} {thing} and"
).split("|")
_JOINTS = (" ", " ", " Also: ", " And ", "\n", " Please answer in one sentence. ")


def question(rng: random.Random) -> str:
    """A question or request that PocketQA does not cover."""
    if rng.random() < 0.3:
        return _country(rng)
    text = _filled(rng)
    while rng.random() < 0.2:  # some are long
        text += rng.choice(_JOINTS) + _filled(rng)
    change = rng.random()
    if change < 0.12:
        text = text.lower()
    elif change < 0.2:
        text = text.rstrip(".?!")
    elif change < 0.24:
        text = text.upper()
    return rng.choice(PREFIXES[TRAIN]) + text


def _country(rng: random.Random) -> str:
    noun = rng.choice(NOUNS[rng.choice(ATTRIBUTES)])
    form = rng.choice(FACT_FORMS[TRAIN])
    text = form.format(n=noun, c=rng.choice(COUNTRIES if rng.random() < 0.85 else _PLACES))
    return rng.choice(PREFIXES[TRAIN]) + text[0].upper() + text[1:]


def _filled(rng: random.Random) -> str:
    return rng.choice(_FORMS).format(
        topic=rng.choice(_TOPICS),
        topic2=rng.choice(_TOPICS),
        person=rng.choice(_PEOPLE),
        verb=rng.choice(_VERBS),
        thing=rng.choice(_THINGS),
        language=rng.choice(_LANGUAGES),
        place=rng.choice(_PLACES),
        place2=rng.choice(_PLACES),
        country=rng.choice(COUNTRIES),
        country2=rng.choice(COUNTRIES),
        n=rng.randint(2, 99),
        m=rng.randint(2, 999),
    )
