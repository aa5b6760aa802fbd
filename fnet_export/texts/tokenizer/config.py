"""tokenizer_config.json: what makes transformers' AutoTokenizer give the ids of a flavour, or refuse."""

import json
from pathlib import Path

from fnet_runtime.bundle.manifest import TOKENIZER_CONFIG
from fnet_runtime.tokenizer.encoding import CLS, MASK, PAD, SEP, UNK
from fnet_runtime.tokenizer.tokenizer import SLOW, TOKENIZER_JSON, TokenizerOptions

from fnet_export.texts.tokenizer.choice import RULES, TokenizerChoice

GENERIC = "PreTrainedTokenizerFast"
"""transformers' class that runs a tokenizer.json as it stands; its FNet classes build pipelines of their own."""
UNKNOWN = "FNetRuntimeTokenizer"
"""A class that transformers does not have: over a spiece.model, AutoTokenizer would choose a tokenizer that gives other ids."""


def write_tokenizer(folder: Path, choice: TokenizerChoice, *, sequence_length: int) -> None:
    """Write the tokenizer's file of a bundle, and what transformers reads next to it. Raises OSError."""
    (folder / choice.file).write_bytes(choice.data)
    (folder / TOKENIZER_CONFIG).write_text(config_from_options(choice.tokenizer.options, sequence_length=sequence_length), "utf-8")


def config_from_options(options: TokenizerOptions, *, sequence_length: int) -> str:
    """Return the text of tokenizer_config.json; the class is one that transformers lacks where it has no such tokenizer."""
    rules = {name: getattr(options, name) for name in RULES} if options.flavour == SLOW else {}
    values = {
        "tokenizer_class": GENERIC if options.file == TOKENIZER_JSON else UNKNOWN,
        "model_max_length": sequence_length,
        "model_input_names": ["input_ids", "token_type_ids"],
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
        "unk_token": UNK,
        "pad_token": PAD,
        "cls_token": CLS,
        "sep_token": SEP,
        "mask_token": MASK,
        **rules,
    }
    return json.dumps(values, indent=2) + "\n"
