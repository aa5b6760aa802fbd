"""Writes ../src/generated/unicode_tables.inc: Unicode as Python's str has it, and as the `tokenizers` library has it.

The library mixes the tables of several versions of Unicode, so it is asked itself, character by character. Python 3.11 has
Unicode 14; another one changes the rules of `fnet-slow`.
Usage: python runtimes/cpp/scripts/unicode_tables.py, which takes a quarter of a minute.
"""

import base64
import json
import struct
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import normalizers, pre_tokenizers

OUTPUT = Path(__file__).parent.parent / "src" / "generated" / "unicode_tables.inc"
CHARACTERS = [chr(code) for code in chain(range(0xD800), range(0xE000, 0x110000))]
HANGUL = range(0xAC00, 0xD7A4)
SEPARATOR = "\n"
HIGHEST_CLASS = "\u0345"
ACUTE, ZWJ, KA, VIRAMA, COPYRIGHT = "\u0301", "\u200d", "\u0915", "\u094d", "©"
HANGUL_L, HANGUL_V, HANGUL_T = "\u1100", "\u1160", "\u11a8"
# in the order of unicode.cpp's enum
GRAPHEMES = ["other", "control", "extend", "linker", "plain_extend", "spacing_mark", "zwj", "prepend", "pictographic", "consonant"]
GRAPHEMES += ["hangul_l", "hangul_v", "hangul_t"]

Answers = dict[str, str]


def main() -> None:
    """Ask and write."""
    assert unicodedata.unidata_version == "14.0.0", f"expected Python 3.11 (Unicode 14), found {unicodedata.unidata_version}"
    OUTPUT.write_text(tables())


def tables() -> str:
    """The whole file."""
    return "\n".join(
        [
            f"// Written by scripts/unicode_tables.py with Unicode {unicodedata.unidata_version} of Python and tokenizers "
            f"{tokenizers.__version__}: do not edit.",
            *_namespace("python", python_tables()),
            *_namespace("library", library_tables()),
        ]
    )


def python_tables() -> list[str]:
    """What Python's str methods and `unicodedata` know of characters, as python_characters.cpp needs it."""
    bare = {c: "".join(d for d in unicodedata.normalize("NFKD", c) if not unicodedata.combining(d)) for c in CHARACTERS}
    return [
        ranges("SPACES", filter(str.isspace, CHARACTERS)),
        ranges("DIGITS", filter(str.isdigit, CHARACTERS)),
        ranges("CASED", filter(ends_word, CHARACTERS)),
        ranges("SKIPPED", (c for c in CHARACTERS if ends_word("A" + c) and not ends_word(c))),
        mappings("LOWER", {c: c.lower() for c in CHARACTERS if c.lower() != c}),
        mappings("BARE", {c: text for c, text in bare.items() if text != c and ord(c) not in HANGUL}),
    ]


def ends_word(text: str) -> bool:
    """Whether a capital sigma after the text is spelled as at the end of a word."""
    return (text + "Σ").lower().endswith("ς")


def library_tables() -> list[str]:
    """What unicode.cpp needs of the `tokenizers` library."""
    lower = answers(normalizers.Lowercase(), lambda c: c)
    nfkd = answers(normalizers.NFKD(), lambda c: c)
    stripped = answers(normalizers.StripAccents(), lambda c: c)
    words = {c: pre_tokenizers.Whitespace().pre_tokenize_str("a" + c) for c in CHARACTERS}
    return [
        ranges("SPACES", (c for c, parts in words.items() if parts == [("a", (0, 1))])),
        ranges("WORD", (c for c, parts in words.items() if parts == [("a" + c, (0, 2))])),
        ranges("MARKS", (c for c in CHARACTERS if not stripped[c])),
        valued_ranges("COMBINING_CLASSES", combining_classes(nfkd)),
        mappings("LOWER", {c: text for c, text in lower.items() if text != c}),
        mappings("NFKD", {c: text for c, text in nfkd.items() if text != c and ord(c) not in HANGUL}),
        valued_ranges("GRAPHEMES", grapheme_classes()),
    ]


def combining_classes(nfkd: Answers) -> Iterator[tuple[str, int]]:
    """The class of each character by which the library orders marks. Classes never change, but the library lacks new characters."""
    swapped = answers(normalizers.NFKD(), lambda c: HIGHEST_CLASS + c)
    for c in CHARACTERS:
        value = unicodedata.combining(c)
        ordered = c == HIGHEST_CLASS or swapped[c] == nfkd[c] + HIGHEST_CLASS
        if nfkd[c] == c and c not in "\r\n":
            assert ordered or swapped[c] == HIGHEST_CLASS + c
            assert value or not ordered
        if value and (ordered or nfkd[c] != c):
            yield c, value


def answers(normalizer: Any, probe: Callable[[str], str]) -> Answers:
    """What a normalizer makes of a probe of each character; many probes in one text, for no rule reaches over a line feed.

    A carriage return would join the line feed; both are as they are in every table.
    """
    found = {"\r": "\r", "\n": "\n"}
    rest = [c for c in CHARACTERS if c not in "\r\n"]
    for start in range(0, len(rest), 4096):
        batch = rest[start : start + 4096]
        texts = normalizer.normalize_str(SEPARATOR.join(map(probe, batch))).split(SEPARATOR)
        found.update(zip(batch, texts, strict=True))
    return found


def counting_charsmap() -> str:
    """A charsmap that makes one X of every cluster of fewer than 6 bytes, and of every character of the others.

    Every first byte but that of a line feed is a key: a double array of one level.
    """
    units = [0] * 768
    units[0] = 256 << 10
    for byte in range(1, 256):
        if byte != ord(SEPARATOR):
            units[256 + byte] = byte | 1 << 8 | (256 ^ 512) << 10
    data = struct.pack("<I768I", 4 * len(units), *units) + b"X\0"
    return base64.b64encode(data).decode()


def grapheme_classes() -> Iterator[tuple[str, int]]:
    """The class of each character that the library's rules for grapheme clusters know, by its place in GRAPHEMES."""
    for c, name in _grapheme_classes():
        yield c, GRAPHEMES.index(name)


def _grapheme_classes() -> Iterator[tuple[str, str]]:
    counter = tokenizers.Tokenizer(tokenizers.models.BPE()).to_str()
    charsmap = {"type": "Precompiled", "precompiled_charsmap": counting_charsmap()}
    normalizer = tokenizers.Tokenizer.from_str(json.dumps(json.loads(counter) | {"normalizer": charsmap})).normalizer

    def joined(probe: Callable[[str], str], count: int) -> set[str]:
        return {c for c, text in answers(normalizer, probe).items() if text == "X" * count}

    attached = joined(lambda c: "a" + c, 1)
    emoji_extend = joined(lambda c: COPYRIGHT + c + ZWJ + COPYRIGHT + ACUTE, 5) & attached
    linkers = joined(lambda c: KA + c + KA + ACUTE, 4) & attached
    conjunct_extend = joined(lambda c: KA + VIRAMA + c + KA + ACUTE, 5) & attached
    prepended = joined(lambda c: c + "a", 1)
    consonants = joined(lambda c: c + VIRAMA + KA + ACUTE, 4) - prepended
    pictographic = joined(lambda c: c + ZWJ + COPYRIGHT + ACUTE, 4)
    control = joined(lambda c: c + ACUTE + ACUTE, 2) | set("\0\r\n")  # which no probe can ask for
    before_l, before_v, before_t = (joined(lambda c, after=after: c + after + ACUTE, 3) for after in (HANGUL_L, HANGUL_V, HANGUL_T))
    for c in CHARACTERS:
        if c == ZWJ:
            yield c, "zwj"
        elif c in attached:
            if c in linkers:
                assert c in emoji_extend
                yield c, "linker"
            elif c in conjunct_extend:
                assert c in emoji_extend
                yield c, "extend"
            else:
                yield c, "plain_extend" if c in emoji_extend else "spacing_mark"
        elif c in prepended:
            yield c, "prepend"
        elif c in consonants:
            yield c, "consonant"
        elif c in pictographic:
            yield c, "pictographic"
        elif c in control:
            yield c, "control"
        elif ord(c) in HANGUL:
            assert c in before_t
        elif c in before_l:
            assert c in before_v
            yield c, "hangul_l"
        elif c in before_t:
            yield c, "hangul_v" if c in before_v else "hangul_t"


def ranges(name: str, characters: Iterable[str]) -> str:
    """Runs of characters as {first, last}."""
    runs = _runs((ord(c), 0) for c in characters)
    return _array("Range", name, (f"{{{first},{last}}}" for first, last, _ in runs))


def valued_ranges(name: str, values: Iterable[tuple[str, int]]) -> str:
    """Runs of characters of one value as {first, last, value}."""
    runs = _runs((ord(c), value) for c, value in values)
    return _array("ClassRange", name, (f"{{{first},{last},{value}}}" for first, last, value in runs))


def mappings(name: str, texts: Answers) -> str:
    """One to one as runs of {first, last, step, difference}; the rest as codes, and the ends of their texts in one text of all."""
    rows: list[list[int]] = []
    for c, text in texts.items():
        if len(text) != 1:
            continue
        code, difference = ord(c), ord(text) - ord(c)
        gap = code - rows[-1][1] if rows and rows[-1][3] == difference else 0
        if gap in (1, 2) and rows[-1][2] in (0, gap):
            rows[-1][1:3] = code, gap
        else:
            rows.append([code, code, 0, difference])
    other = {c: text for c, text in texts.items() if len(text) != 1}
    ends = accumulate(map(len, other.values()))
    return "\n".join(
        [
            _array(
                "Run", f"{name}_RUNS", (f"{{{first},{last},{step or 1},{difference}}}" for first, last, step, difference in rows)
            ),
            _array("char32_t", f"{name}_OTHERS", (str(ord(c)) for c in other)),
            _array("std::uint16_t", f"{name}_ENDS", map(str, ends)),
            _array("char32_t", f"{name}_TEXT", (str(ord(c)) for text in other.values() for c in text)),
            f"inline constexpr Mapping {name}{{{name}_RUNS, {name}_OTHERS, {name}_ENDS, {name}_TEXT}};\n",
        ]
    )


def _namespace(name: str, parts: list[str]) -> list[str]:
    return [f"namespace {name}_tables {{", *parts, f"}}  // namespace {name}_tables"]


def _runs(values: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, int, Any]]:
    first = last = -2
    current = None
    for code, value in values:
        if code != last + 1 or value != current:
            if first >= 0:
                yield first, last, current
            first, current = code, value
        last = code
    if first >= 0:
        yield first, last, current


def _array(kind: str, name: str, rows: Iterable[str]) -> str:
    lines = [""]
    for row in rows:
        if len(lines[-1]) + len(row) > 130:
            lines.append("")
        lines[-1] += row + ","
    return f"inline constexpr {kind} {name}[] = {{\n" + "\n".join(lines) + "\n};\n"


if __name__ == "__main__":
    main()
