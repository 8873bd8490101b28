"""Tokens: the byte-level vocabulary of the pocket LLMs, and examples packed into arrays.

python -m training.text        # trains the vocabulary, writes training/tokenizer.json
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from dmoa.evaluation.pocketqa.words import LETTERS

PAD, BOS, EOS = 0, 1, 2
VOCABULARY = 1024
LENGTHS = (32, 56, 80, 112)
"""Examples are padded to the next of these lengths; longer ones are left out."""
_FILE = Path(__file__).parent / "tokenizer.json"

Packed = list[tuple[NDArray[np.int16], NDArray[np.uint8]]]
"""For each length, tokens and their weights in the loss (tenths)."""


@dataclass(frozen=True)
class Example:
    """One text to learn from.

    Attributes:
        prompt: what the model is given.
        parts: what it should say, each with its weight in the loss, in tenths.
        end: whether its answer ends there.
        prompt_weight: weight of the prompt's own tokens, in tenths.
    """

    prompt: str
    parts: tuple[tuple[str, int], ...]
    end: bool = True
    prompt_weight: int = 0


@cache
def tokenizer() -> Tokenizer:
    """The vocabulary that all four models share."""
    return Tokenizer.from_file(str(_FILE))


@lru_cache(100_000)
def encoded(words: str) -> tuple[int, ...]:
    """Tokens of a short text that comes again and again."""
    return tuple(tokenizer().encode(words).ids)


def pack(examples: Sequence[Example]) -> Packed:
    """Tokens and weights of the examples, sorted by length."""
    tok = tokenizer()
    prompts = tok.encode_batch_fast([e.prompt for e in examples])
    rows: list[tuple[list[list[int]], list[list[int]]]] = [([], []) for _ in LENGTHS]
    for example, prompt in zip(examples, prompts, strict=True):
        ids = [BOS, *prompt.ids]
        weights = [0, *[example.prompt_weight] * len(prompt.ids)]
        for words, weight in example.parts:
            part = encoded(words)
            ids += part
            weights += [weight] * len(part)
        if example.end:
            ids.append(EOS)
            weights.append(10)
        for (tokens, loss), length in zip(rows, LENGTHS, strict=True):
            if len(ids) <= length:
                tokens.append(ids + [PAD] * (length - len(ids)))
                loss.append(weights + [0] * (length - len(ids)))
                break
    return [
        (
            np.array(tokens, np.int16).reshape(-1, length),
            np.array(loss, np.uint8).reshape(-1, length),
        )
        for (tokens, loss), length in zip(rows, LENGTHS, strict=True)
    ]


def train_tokenizer() -> Tokenizer:
    """Byte pairs over what the models will read, so that most words are one token."""
    from training import examples

    rng = random.Random("tokenizer")
    texts = []
    for i in range(60_000):
        made = [examples.single(rng, i % 4), examples.simulated_aggregation(rng, i % 4)]
        if i % 8 == 0:
            made.append(examples.outside_question(rng))
        texts += [e.prompt + "".join(text for text, _ in e.parts) for e in made]
    for letter in LETTERS:  # each letter is one token, also after a space
        texts += ["x " + letter] * 500
    tok = Tokenizer(models.BPE())
    # llama.cpp knows this way of cutting text into words as `smollm`.
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(texts, trainer)
    lengths = sorted(len(e.ids) for e in tok.encode_batch(texts))
    print({q: lengths[int(q * (len(lengths) - 1))] for q in (0.5, 0.9, 0.99, 1)})
    return tok


if __name__ == "__main__":
    train_tokenizer().save(str(_FILE))
