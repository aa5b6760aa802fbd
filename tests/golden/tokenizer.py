"""Makes tokenizer.json and the two SentencePiece models beside it; run with transformers==4.57.* and sentencepiece installed.

python tests/golden/tokenizer.py
"""

import json
import random
from pathlib import Path

import sentencepiece
from transformers import FNetTokenizer

HERE = Path(__file__).parent
LENGTH = 24
OPTIONS = ({}, {"do_lower_case": True, "keep_accents": False}, {"remove_space": False})
PROBES = [
    "", "  ", " a ", "10,000 and 5, 6,", "``quoted'' it's", "[CLS]hi [MASK] there<pad> x", "a [MASK]", "naïve ﬁne ½ Σίσυφος ΟΔΟΣ",
    "a\u3000b\u200bc", "日本語テキスト", "👩‍👩‍👧 x", "\x00a\x01b", "'' '", "'''", "１２，３４，", "$1,2,3, 4,", "ｘ10,", "é́", "한글 각", "a\n\n b\t c",
]  # fmt: skip
ALPHABET = "abc ,.123490'`ABCÉéñΣς日本한각ﬁ½①  \t\n[MASK]<pad>\u200b\u0301👩🏽İ"
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dogs",
    "naïve",
    "ﬁne",
    "½",
    "10,000",
    "1,2,3,",
    "日本",
    "한글",
    "5,",
    "6,",
    "7,",
    "10,",
    "20,",
    "it's",
]


def main() -> None:
    draw = random.Random(0)
    texts: list[object] = PROBES + ["".join(draw.choice(ALPHABET) for _ in range(draw.randrange(30))) for _ in range(300)]
    texts += [[draw.choice(texts), draw.choice(texts)] for _ in range(80)]
    sentences = [" ".join(draw.choice(WORDS) for _ in range(9)) for _ in range(400)]
    cases = []
    for kind in ("bpe", "unigram"):
        model = HERE / f"{kind}.model"
        with model.open("wb") as file:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences), model_writer=file, vocab_size=120, model_type=kind, hard_vocab_limit=False,
                unk_id=0, bos_id=1, eos_id=2, pad_id=3, control_symbols=["[CLS]", "[SEP]", "[MASK]"], minloglevel=2,
            )  # fmt: skip
        for options in OPTIONS:
            tokenizer = FNetTokenizer(str(model), **options)
            for text in texts:
                parts = [text] if isinstance(text, str) else text
                encoded = tokenizer(*parts, truncation="longest_first", padding="max_length", max_length=LENGTH)
                cases.append([kind, options, parts, encoded["input_ids"], encoded["token_type_ids"]])
    golden = {"length": LENGTH, "cases": cases}
    (HERE / "tokenizer.json").write_text(json.dumps(golden, ensure_ascii=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
