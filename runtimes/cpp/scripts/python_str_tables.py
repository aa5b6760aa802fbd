"""Writes src/python_str_tables.inc: what Python's str methods know of characters, as python_str.cpp needs it.

Usage: python runtimes/cpp/scripts/python_str_tables.py. Python 3.11 has Unicode 14; another one changes the rules of `fnet-slow`.
"""

import sys
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

OUTPUT = Path(__file__).parent.parent / "src" / "python_str_tables.inc"
CHARACTERS = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)
"""Decomposed by arithmetic."""


def ranges(of: Callable[[str], bool]) -> list[int]:
    """First and last character of every run for which `of` holds."""
    found: list[int] = []
    for c in CHARACTERS:
        if of(c):
            if found and found[-1] == ord(c) - 1:
                found[-1] += 1
            else:
                found += [ord(c), ord(c)]
    return found


def lower_runs() -> list[int]:
    """First and last character, step and distance of runs that lower by the same distance; U+0130 is the one that gives two."""
    found: list[list[int]] = []
    for c in CHARACTERS:
        low = c.lower()
        if low == c or len(low) > 1:
            continue
        distance, code = ord(low) - ord(c), ord(c)
        last = found[-1] if found else None
        if last and last[3] == distance and (code - last[1] == last[2] or (last[0] == last[1] and code - last[1] == 2)):
            last[1], last[2] = code, code - last[1]
        elif last and last[3] == distance and last[0] == last[1] and code - last[1] == 1:
            last[1] = code
        else:
            found.append([code, code, 1, distance])
    return [n for run in found for n in run]


def bare(c: str) -> str:
    """NFKD of one character without combining characters."""
    return "".join(d for d in unicodedata.normalize("NFKD", c) if not unicodedata.combining(d))


def ends_word(text: str) -> bool:
    """Whether a capital sigma after the text is spelled as at the end of a word."""
    return (text + "Σ").lower().endswith("ς")


def cased(c: str) -> bool:
    """Cased, and looked at in the search for a final sigma."""
    return ends_word(c)


def skipped(c: str) -> bool:
    """Looked through in the search for a final sigma."""
    return ends_word("A" + c) and not ends_word(c)


def table(name: str, values: Iterable[int]) -> str:
    """One array of C++."""
    lines = [""]
    for value in values:
        word = f"{value},"
        if len(lines[-1]) + len(word) > 130:
            lines.append("")
        lines[-1] += word
    return f"constexpr int32_t {name}[] = {{\n" + "\n".join(lines) + "\n};\n"


def main() -> None:
    """Write the file."""
    assert unicodedata.unidata_version == "14.0.0", f"expected Python 3.11 (Unicode 14), found {unicodedata.unidata_version}"
    changed = [c for c in CHARACTERS if ord(c) not in HANGUL and bare(c) not in (c, "")]
    parts = [
        "// Written by scripts/python_str_tables.py from Unicode 14.\n",
        table("SPACE", ranges(str.isspace)),
        table("DIGIT", ranges(str.isdigit)),
        table("PRINTABLE", ranges(str.isprintable)),
        table("CASED", ranges(cased)),
        table("SKIPPED", ranges(skipped)),
        table("LOWER", lower_runs()),
        table("REMOVED", ranges(lambda c: bare(c) == "")),
        "// Characters of a longer or other form, the ends of those forms, and the forms.\n",
        table("DECOMPOSED", map(ord, changed)),
        table("FORM_LENGTHS", (len(bare(c)) for c in changed)),
        table("FORMS", (ord(d) for c in changed for d in bare(c))),
    ]
    OUTPUT.write_text("".join(parts))


if __name__ == "__main__":
    main()
