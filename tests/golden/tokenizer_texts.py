"""The texts of tokenizer.jsonl: ordinary and hostile ones, singly and in pairs, drawn from one seed."""

import json
import random
from collections.abc import Callable
from pathlib import Path

EMAILS = Path(__file__).parents[2] / "fnet_export" / "texts" / "emails.jsonl"
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dogs",
    "dog",
    "cat",
    "and",
    "a",
    "meeting",
    "on",
    "Friday",
    "free",
    "prize",
    "notes",
    "attached",
    "naïve",
    "café",
    "10,000",
    "1,2,3,",
    "5,",
    "6,",
    "7,",
    "10,",
    "20,",
    "it's",
    "don't",
    "ﬁne",
    "½",
    "日本",
    "東京",
    "한글",
    "привет",
    "мир",
    "שלום",
    "مرحبا",
    "Ελλάδα",
    "ОДЕССА",
    "straße",
    "résumé",
    "über",
    "2026",
    "100",
    "hello",
    "world",
]
SPECIAL = ["[CLS]", "[SEP]", "[MASK]", "<pad>", "<unk>", "<s>", "</s>"]
PROBES = [
    "", " ", "   ", "a", " a ", "\n", "\t\n", "10,000 and 5, 6,", "``quoted'' it's", "[CLS]hi [MASK] there<pad> x", "a [MASK]", "[MASK]", "[MASK] [MASK]",
    "[MASK][MASK]", "the [MASK], fox", "the\u3000[MASK]\u3000fox", "naïve ﬁne ½ Σίσυφος ΟΔΟΣ", "a\u3000b\u200bc", "日本語テキスト", "👩‍👩‍👧 x", "\x00a\x01b", "'' '", "'''",
    "````", "``''``", "１２，３４，", "$1,2,3, 4,", "ｘ10,", "é́", "한글 각", "a\n\n b\t c", "The quick brown fox.", "▁", "▁▁ a", "a▁b", "▁10,", "the ▁ fox", "⁇", "<PAD> [mask] <UNK>",
    "[ MASK ]", "[MASK", "MASK]", "[[MASK]]", "［ＭＡＳＫ］", "<<pad>>", "\ufeffthe fox", "the fox\ufeff", "²,", "௧,", "٣,", "x²,", "℡ № ™ 𝚺 𝐀𝐁𝐂", "ΑΣ ΑΣ, 𝚺𝚺",
    "İstanbul ıI", "ǅ Ǆ ǆ", "ẞ ß", "K Å Ω", "ª º", "\u0345", "\u1e9b\u0323", "\u00a0the\u00a0fox\u00a0", "\u2028line\u2029para", "\x85next", "\x1c\x1d\x1e\x1fx", "\u00ad soft", "a\u0301\u0327\u0323",
    "ﷺ", "㍿㌀", "①②③,", "Ⅷ,", "1٬000", "1,000,000.00", ",,,", "1,", "1,1", ",1,", "0,0,0,0,", "1 , 2", "12 345,", "\U000e0001tag", "\uffff", "\U0010ffff", "\ue000", "e\u200de", "\u202eabc\u202c",
    "🏳️‍🌈🏴‍☠️", "👍🏽👍", "🇩🇪🇯🇵🇩", "1️⃣,2️⃣", "ก็ำ", "क्षि", "ที่นี่", "ﻻ", "ﬀﬁﬂﬃﬄﬅﬆ", "ŉ ĳ ǳ", "ﾊﾟﾝ", "가각힣", "\u1100\u1161\u11a8", "𠮷野家", "��", "http://a.b/c?d=1,2&e=[SEP]", "<s>the</s>",
]  # fmt: skip


def texts_from_seed(seed: int) -> list[list[str]]:
    """Return every case, a list of one text or two."""
    draw = random.Random(seed)
    singles = list(PROBES)
    for count, make in KINDS:
        singles += [make(draw) for _ in range(count)]
    pairs = [[draw.choice(singles), draw.choice(singles)] for _ in range(400)]
    pairs += [[_sentence(draw, draw.randrange(40)), _sentence(draw, draw.randrange(40))] for _ in range(300)]
    return [[text] for text in singles] + pairs


def training_texts(seed: int) -> list[str]:
    """Return what the SentencePiece models are trained on."""
    draw = random.Random(seed)
    emails = [json.loads(line)["text"] for line in EMAILS.read_text("utf-8").splitlines()]
    return [" ".join(draw.choice(WORDS) for _ in range(9)) for _ in range(1500)] + emails


def _between(draw: random.Random, low: int, high: int) -> int:
    return draw.randrange(low, high + 1)


def _from(alphabet: str, low: int, high: int) -> Callable[[random.Random], str]:
    return lambda draw: "".join(draw.choice(alphabet) for _ in range(_between(draw, low, high)))


def _ranges(*bounds: tuple[int, int]) -> str:
    return "".join(chr(i) for low, high in bounds for i in range(low, high + 1) if not 0xD800 <= i < 0xE000)


def _sentence(draw: random.Random, words: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(words))


def _around(alphabet: str) -> Callable[[random.Random], str]:
    """Characters of an alphabet among words."""

    def make(draw: random.Random) -> str:
        parts = [draw.choice(WORDS) if draw.random() < 0.3 else _from(alphabet, 1, 3)(draw) for _ in range(_between(draw, 1, 5))]
        return draw.choice(["", " "]).join(parts)

    return make


def _numbers(draw: random.Random) -> str:
    parts = [_from("0123456789", 1, 4)(draw) + draw.choice([",", ",", ", ", ".", " ", ""]) for _ in range(_between(draw, 1, 6))]
    return draw.choice(["", "$", "x", "▁", " "]) + "".join(parts)


def _glued(draw: random.Random) -> str:
    parts = [draw.choice(SPECIAL) if draw.random() < 0.4 else draw.choice([*WORDS, " ", "  ", ",", "<", "["]) for _ in range(6)]
    return draw.choice(["", "", " "]).join(parts)


def _long_word(draw: random.Random) -> str:
    return (
        draw.choice(WORDS)[:3] * _between(draw, 1, 3)
        + draw.choice("aeé0日") * _between(draw, 30, 150)
        + draw.choice(["", ",", " x"])
    )


def _spaced(draw: random.Random) -> str:
    spaces = [" ", "  ", "\t", "\n", "\r\n", "\u3000", "\u00a0", "\u2003", "\x0b", "\x1f", "\u1680"]
    return "".join(draw.choice(spaces) + draw.choice([*WORDS, ""]) for _ in range(_between(draw, 1, 6))) + draw.choice(
        ["", *spaces]
    )


def _cased(draw: random.Random) -> str:
    letters = "ΑΣσςİıIKÅẞßǅŸÉЖ℡№𝚺Ⅷⓐ" + "ABCabc' ,"
    return _from(letters, 1, 10)(draw) + draw.choice(["", " <PAD>", " [Mask]", "<UNK>", " [MASK]", "Σ"])


def _excerpt(draw: random.Random) -> str:
    text = draw.choice(training_emails)
    start = draw.randrange(max(1, len(text) - 60))
    return text[start : start + _between(draw, 10, 60)]


def _anything(draw: random.Random) -> str:
    return "".join(
        chr(draw.choice([_between(draw, 0, 0x2FF), _between(draw, 0, 0xD7FF), _between(draw, 0xE000, 0x1FAFF)]))
        for _ in range(_between(draw, 1, 10))
    )


training_emails = [json.loads(line)["text"] for line in EMAILS.read_text("utf-8").splitlines()]
COMPATIBLE = _ranges((0xA0, 0x17F), (0x2070, 0x209C), (0x2100, 0x218B), (0x2460, 0x24FF), (0x3200, 0x33FF), (0xFB00, 0xFB06), (0xFF01, 0xFFEE), (0x1D400, 0x1D7FF), (0xF900, 0xFA6D))  # fmt: skip
ACCENTED = _ranges((0xC0, 0x24F), (0x300, 0x36F), (0x1E00, 0x1FFE)) + "aeiou"
SCRIPTS = (
    _ranges((0x3041, 0x30FF), (0x4E00, 0x4FFF), (0xAC00, 0xAEFF), (0x1100, 0x11FF), (0xE01, 0xE5B), (0x905, 0x94D))
    + "日本東京，。「」"
)
EMOJI = _ranges((0x1F300, 0x1F64F), (0x1F900, 0x1F9FF), (0x1F1E6, 0x1F1FF)) + "\u200d\ufe0f\u20e3🏽👩👨👧❤☠" * 30
RIGHT_TO_LEFT = _ranges((0x5D0, 0x5EA), (0x5B0, 0x5BD), (0x621, 0x652), (0xFE80, 0xFEFC)) + "\u200f\u200e\u202b\u202c\u0640 ,٣"
INVISIBLE = (
    _ranges((0, 0x20), (0x7F, 0xA0), (0x200B, 0x200F), (0x2028, 0x202F), (0x2060, 0x206F), (0xFE00, 0xFE0F))
    + "\ufeff\u00ad\u034f\u180e\u3164"
)
MIXED = "abc ,.123490'`ABCÉéñΣς日本한각ﬁ½①  \t\n[MASK]<pad>\u200b\u0301👩🏽İ▁"
KINDS: list[tuple[int, Callable[[random.Random], str]]] = [
    (550, _around(COMPATIBLE)), (450, _around(ACCENTED)), (450, _around(SCRIPTS)), (400, _around(EMOJI)), (400, _around(RIGHT_TO_LEFT)), (450, _around(INVISIBLE)),
    (60, _long_word), (450, _numbers), (500, _glued), (200, _from("'`a \" ", 1, 10)), (250, _spaced), (250, _cased), (250, _excerpt), (350, _from(MIXED, 1, 25)), (300, _anything),
]  # fmt: skip
