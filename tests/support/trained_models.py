"""SentencePiece models of every kind, trained on a page of the docs."""

import io
import tempfile
from functools import cache

import sentencepiece
from support.paths import ROOT

DOCS = ROOT / "docs"
SYMBOLS = ["[MASK]", "the", "<>", "00", "a\u0301"]
TRAINED = {
    "unigram with symbols": {"model_type": "unigram", "user_defined_symbols": SYMBOLS},
    "bpe with symbols": {"model_type": "bpe", "user_defined_symbols": SYMBOLS},
    "unigram with bytes": {"model_type": "unigram", "byte_fallback": True},
    "bpe with bytes": {"model_type": "bpe", "byte_fallback": True},
    "unigram with bytes and symbols": {"model_type": "unigram", "byte_fallback": True, "user_defined_symbols": SYMBOLS},
    "unigram as it is": {"model_type": "unigram", "normalization_rule_name": "identity", "remove_extra_whitespaces": False},
    "unigram without a prefix": {"model_type": "unigram", "add_dummy_prefix": False, "normalization_rule_name": "nmt_nfkc_cf"},
    "unigram with a suffix": {"model_type": "unigram", "treat_whitespace_as_suffix": True, "user_defined_symbols": SYMBOLS},
    "unigram of spaces": {"model_type": "unigram", "allow_whitespace_only_pieces": True, "remove_extra_whitespaces": False},
    "char": {"model_type": "char", "user_defined_symbols": SYMBOLS},
    "word": {"model_type": "word", "hard_vocab_limit": False},
}
MORE = {
    "bpe across words": {
        "model_type": "bpe",
        "split_by_whitespace": False,
        "user_defined_symbols": ["[MASK]", "\u2581the\u2581", "a b"],
    },
    "unigram across words": {"model_type": "unigram", "split_by_whitespace": False, "user_defined_symbols": ["[MASK]", "x" * 40]},
    "bpe with long rules": {"model_type": "bpe", "normalization_rule_tsv": "rules"},
}
"""Models of pieces that go on after a space, of long symbols, and of a charsmap whose keys are long and hold spaces."""
LONGEST_KEY = "ab" * 15 + " c"
RULES = {LONGEST_KEY: "x y", "ab": "", "fox jumps": "\u2581"}


@cache
def trained(name):
    """The serialised model of a name in TRAINED or MORE."""
    source = [line for line in (DOCS / "bundle.md").read_text().splitlines() if line]
    options = {"vocab_size": 600, "pad_id": 3, "hard_vocab_limit": False, "user_defined_symbols": ["[MASK]"]}
    options |= (TRAINED | MORE)[name]
    writer = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        if "normalization_rule_tsv" in options:
            hexadecimal = [[" ".join(f"{ord(c):X}" for c in text) for text in rule] for rule in RULES.items()]
            rules.write("".join(f"{key}\t{value}\n" for key, value in hexadecimal))
            rules.flush()
            options["normalization_rule_tsv"] = rules.name
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(source),
            model_writer=writer,
            minloglevel=9,
            control_symbols=["[CLS]", "[SEP]"],
            **options,
        )
    return writer.getvalue()
