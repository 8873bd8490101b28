"""Words that several topics draw from."""


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


PEOPLE = _listed(
    "Ann Ben Carla Dev Elif Farid Grace Hugo Ines Jonas Kim Lena Marco Nadia Omar Paula "
    "Quentin Rosa Samir Tara Ugo Vera Wen Xenia Yusuf Zoe Aisha Bruno Chen Dora Emil Fatima "
    "Goran Hana Ivan Julia"
)
GOODS = _listed(
    "apples pencils notebooks stickers candles mugs plates bolts screws tickets stamps bricks "
    "seeds batteries lemons bottles postcards beads marbles tiles buttons"
)
SHOPS = (
    "the corner shop",
    "a hardware store",
    "the market",
    "the school fair",
    "a flea market",
    "the garden centre",
    "an online store",
    "the stationery shop",
)
WORDS = _listed(
    "banana elephant harbour lantern mississippi notebook orchestra pineapple quartz "
    "raspberry strawberry telescope umbrella volcano wonderful xylophone yesterday zebra "
    "academy balloon committee dictionary engineer football geography happiness island "
    "journey kangaroo library mountain necessary operation parallel question restaurant "
    "successful tomorrow understand vegetable weather address bookkeeper chocolate difference "
    "excellent following grammar hurricane indeed jellyfish keyboard lemonade marmalade "
    "nineteen opposite possession quarrel remember sandwich treasure universe village whisper "
    "yellow zeppelin anchor breakfast cupboard december"
)
TOWNS = _listed(
    "Arden Belford Carrow Dunmore Eastleigh Farrow Glenby Harwick Inverloch Jessop Kelby "
    "Langford Marston Norwell Oakham Penrith Quarley Redmont Selby Thornton Upwell Wexley "
    "Yarrow"
)
