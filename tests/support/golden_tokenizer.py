"""Reads golden/tokenizer.jsonl, which docs/tokenizer.md describes."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from itertools import cycle

from fnet_runtime.tokenizer.tokenizer import TOKENIZER_JSON, Tokenizer, TokenizerOptions
from support.paths import GOLDEN

from fnet_export.texts.tokenizer.from_spiece import fast_from_spiece, proto_from_bytes, v5_from_spiece

PAD = 3


@dataclass(frozen=True)
class Line:
    """One text or pair, and what each column's oracle made of it."""

    texts: list[str]
    length: int
    columns: list
    decoded: list | None = None

    def column(self, index):
        """Ids, types, special tokens mask and spans of one column, padded; None where it was left out."""
        fields = self.columns[index]
        if fields is None:
            return None
        own = [field for field in fields if field is not None]
        ids, types, special, spans = (
            (self.columns[field][place if place < 3 else -1] if isinstance(field, int) else field)
            for place, field in enumerate(own)
        )
        special = _bits(special)
        padding = self.length - len(ids)
        return (
            ids + [PAD] * padding,
            _bits(types) + [0] * padding,
            special + [1] * padding,
            _spans(spans, special) + [(0, 0)] * padding,
        )


def _bits(runs):
    return [bit for run, bit in zip(runs, cycle((0, 1))) for _ in range(run)]


def _spans(steps, special):
    pairs, end, spans = zip(steps[::2], steps[1::2], strict=True), 0, []
    for is_special in special:
        if is_special:
            spans.append((0, 0))
            continue
        gap, width = next(pairs)
        spans.append((end + gap, end + gap + width))
        end += gap + width
    return spans


with (GOLDEN / "tokenizer.jsonl").open() as _file:
    COLUMNS = json.loads(next(_file))["tokenizers"]
    LINES = [Line(**json.loads(line)) for line in _file]


@cache
def pipeline(model, flavour, do_lower_case=False, keep_accents=True):
    """tokenizer.json of a golden model, as the exporter makes it."""
    proto = proto_from_bytes((GOLDEN / f"{model}.model").read_bytes(), name=model)
    made = (
        v5_from_spiece(proto)
        if flavour == "fnet-v5"
        else fast_from_spiece(proto, do_lower_case=do_lower_case, keep_accents=keep_accents)
    )
    return made.to_str(pretty=True).encode()


def opened(column):
    """The tokenizer of a column; its tokenizer.json is the one that the real tokenizer wrote."""
    rules = {name: column[name] for name in ("do_lower_case", "keep_accents", "remove_space")}
    options = TokenizerOptions(flavour=column["flavour"])
    if options.file == TOKENIZER_JSON:
        data = pipeline(column["model"].removesuffix(".model"), column["flavour"], rules["do_lower_case"], rules["keep_accents"])
        assert hashlib.sha256(json.dumps(json.loads(data), sort_keys=True).encode()).hexdigest() == column["tokenizer_json_sha256"]
        return Tokenizer(data, options)
    if column["flavour"] == "fnet-slow":
        options = TokenizerOptions(flavour="fnet-slow", **rules)
    return Tokenizer.from_file(GOLDEN / column["model"], options)
