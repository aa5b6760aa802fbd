"""Texts to cut into tokens: of any characters, and of those that the rules and normalizers tell apart."""

import random
import unicodedata
from functools import cache

BLOCKS = [(0, 0x7F)] * 4 + [(0x20, 0x7F)] * 8 + [(0x80, 0x24F), (0x300, 0x36F), (0x370, 0xFFFF)]
BLOCKS += [(0x2000, 0x206F), (0xFF00, 0xFFEF), (0x1F300, 0x10FFFF)]
CHARACTERS = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
RULED = ["[MASK]", "[CLS]", "<pad>", "<PAD>", "10,", "1,000", "00", "000", "``", "''", "the", " ", "  ", "\t", "\u3000", "\u2581"]
RULED += ["<>", "Σ", "ΑΣ", "İ", "é", "e\u0301", "\u0301", "ﬁ", "①", "𝟙,", "각", "😀", "\x00", "\x85", "\u200b", "٬", "囹"]
RULED += ["x", "a", "B", "."]


@cache
def random_texts(count):
    """Mostly of ASCII, and of any characters."""
    draw, texts = random.Random("texts"), []
    for _ in range(count):
        codes = (draw.randint(*draw.choice(BLOCKS)) for _ in range(draw.randrange(24)))
        texts.append("".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000))
    return texts


@cache
def ruled_texts(count):
    """Full of what FNetTokenizer's rules and user-defined symbols are about."""
    draw = random.Random("rules")
    return [
        "".join(draw.choice(RULED) if draw.random() < 0.9 else draw.choice(CHARACTERS) for _ in range(draw.randrange(25)))
        for _ in range(count)
    ]


@cache
def long_texts(count):
    """Of hundreds of characters: words, one word, none of a vocabulary, runs of spaces, and what rules tell apart."""
    draw = random.Random("long")
    words = ["the", "quick", "fox", "10,000", "[MASK]", "   ", "\n", "'", "x" * 40, "of\u2581the"]
    runs = [" " * 50, "the ", "fox", "囹" * 30, "[MASK]", "ab" * 20, "ab" * 15 + " c", "fox jumps", "''", "Σ", "𝚺", "𝚨", "\u0301"]
    kinds = [
        lambda: draw.choice(RULED),
        lambda: draw.choice(CHARACTERS) if draw.random() < 0.05 else draw.choice("日本語の文章。中国"),
        lambda: draw.choice("abcdefghthe0123,'`"),
        lambda: " " + draw.choice(words),
        lambda: draw.choice(hard_texts(500)),
        lambda: draw.choice(runs),
    ]
    return ["".join(kinds[i % len(kinds)]() for _ in range(draw.randrange(20, 150))) for i in range(count)]


@cache
def hard_texts(count):
    """Full of what is decomposed, reordered, lower-cased and joined to clusters."""
    draw = random.Random("hard")
    changing = [c for c in CHARACTERS if unicodedata.combining(c) or unicodedata.decomposition(c) or c.lower() != c]
    joining = [c for c in CHARACTERS if unicodedata.category(c) in ("Mn", "Mc", "Me", "Cf")]
    few = [
        *map(chr, range(0x300, 0x370)),
        *"\u200d\u200c©®\u0600\u06dd\u1100\u1160\u11a8각가क\u094d়ি\U0001f1e6\U0001f468 ▁'`aA\t\n\r\0\xad",
    ]
    kinds = [few, few, changing, joining, CHARACTERS]
    return ["".join(draw.choice(draw.choice(kinds)) for _ in range(draw.randrange(14))) for _ in range(count)]
