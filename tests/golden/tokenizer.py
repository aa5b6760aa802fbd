"""Makes tokenizer.jsonl and the SentencePiece models beside it; `make golden` runs it. docs/tokenizer.md describes the file.

python tests/golden/tokenizer.py TRANSFORMERS_4_PYTHON TRANSFORMERS_5_PYTHON
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

import sentencepiece
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer, TokenizerOptions
from tokenizer_texts import texts_from_seed, training_texts

HERE = Path(__file__).parent
SEED, SPARSE, DECODED = 4, 10, 8
LENGTHS = (24, 32, 12, 40)
PAD, CLS, SEP = 3, 4, 5
MODELS = {
    "bpe": {"model_type": "bpe", "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]},
    "unigram": {"model_type": "unigram", "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]},
    "user": {"model_type": "bpe", "user_defined_symbols": ["[CLS]", "[SEP]", "[MASK]"], "remove_extra_whitespaces": False},
}
"""`user` has [CLS], [SEP] and [MASK] as user-defined symbols, which SentencePiece matches in text, and keeps spaces."""
UNACCENTED = {"do_lower_case": True, "keep_accents": False}
COLUMNS: list[tuple[str, str, dict[str, bool], int]] = [
    *(
        (model, flavour, {}, 1)
        for model in ("bpe", "unigram")
        for flavour in ("sentencepiece", "fnet-slow", "fnet-fast", "fnet-v5")
    ),
    *(("user", flavour, {}, SPARSE) for flavour in ("sentencepiece", "fnet-slow", "fnet-fast", "fnet-v5")),
    *(("bpe", "fnet-slow", options, SPARSE) for options in (UNACCENTED, {"remove_space": False}, {"do_lower_case": True})),
    ("user", "fnet-slow", {"remove_space": False}, SPARSE),
    *((model, "fnet-fast", UNACCENTED, SPARSE) for model in ("bpe", "unigram")),
    ("bpe", "f_net", {}, 1),
    ("unigram", "f_net", {}, SPARSE),
]
"""Model, flavour, rules, and every how many lines it is tried."""
ORACLES = {
    "f_net": "sentencepiece",
    "sentencepiece": "sentencepiece",
    "fnet-slow": "transformers 4.57.6 FNetTokenizer",
    "fnet-fast": "transformers 4.57.6 FNetTokenizerFast",
    "fnet-v5": "transformers 5.23.0 FNetTokenizer",
}
CLASSES = {"fnet-slow": "FNetTokenizer", "fnet-fast": "FNetTokenizerFast", "fnet-v5": "FNetTokenizer"}


def main() -> None:
    """Train the models, ask the oracles, write the file."""
    cases = [(texts, LENGTHS[i % len(LENGTHS)]) for i, texts in enumerate(texts_from_seed(SEED))]
    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: _trained(name, Path(scratch) / name) for name in MODELS}
        answers: list[list[Any]] = [[] for _ in COLUMNS]
        hashes: list[str | None] = [None for _ in COLUMNS]
        for python, flavours in zip(sys.argv[1:], (("fnet-slow", "fnet-fast"), ("fnet-v5",)), strict=True):
            columns = [i for i, column in enumerate(COLUMNS) if column[1] in flavours]
            saved = {i: str(Path(scratch) / f"{i}.json") if COLUMNS[i][1] != "fnet-slow" else None for i in columns}
            job = {"cases": cases, "tokenizers": [_job(i, folders, saved[i]) for i in columns]}
            for i, found in zip(columns, _asked(python, job, Path(scratch)), strict=True):
                answers[i], hashes[i] = found, _hash(saved[i])
        for i, (model, flavour, _, every) in enumerate(COLUMNS):
            if flavour in ("f_net", "sentencepiece"):
                answers[i] = _raw(folders[model] / "spiece.model", cases, every, cut_at_end=flavour == "f_net")
    header = {"pad_id": PAD, "tokenizers": [_header(i, hashes[i]) for i in range(len(COLUMNS))]}
    own = [_own_spans(*column[:3]) if column[1] == "fnet-slow" else None for column in COLUMNS]
    lines = [header, *(_line(n, case, [column[n] for column in answers], own) for n, case in enumerate(cases))]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (HERE / "tokenizer.jsonl").write_text(text, "ascii")


def _trained(name: str, folder: Path) -> Path:
    """A folder with spiece.model alone, the same bytes kept here."""
    folder.mkdir()
    with (folder / "spiece.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(training_texts(SEED)), model_writer=file, vocab_size=1000, hard_vocab_limit=False, num_threads=1,
            character_coverage=0.999, unk_id=0, bos_id=1, eos_id=2, pad_id=3, minloglevel=2, **MODELS[name],
        )  # fmt: skip
    (HERE / f"{name}.model").write_bytes((folder / "spiece.model").read_bytes())
    return folder


def _job(column: int, folders: dict[str, Path], saved: str | None) -> dict[str, Any]:
    model, flavour, options, every = COLUMNS[column]
    return {"class": CLASSES[flavour], "folder": str(folders[model]), "every": every, "options": options, "save": saved}


def _asked(python: str, job: dict[str, Any], scratch: Path) -> list[list[Any]]:
    """Run tokenizer_oracle.py with the Python of an environment that has transformers."""
    (scratch / "job.json").write_text(json.dumps(job), "utf-8")
    subprocess.run([python, HERE / "tokenizer_oracle.py", scratch / "job.json", scratch / "answers.json"], check=True)
    found: list[list[Any]] = json.loads((scratch / "answers.json").read_text("utf-8"))
    return found


def _hash(pipeline: str | None) -> str | None:
    """Hash of a tokenizer.json's values, whatever its white space and order of keys."""
    if pipeline is None:
        return None
    values = json.loads(Path(pipeline).read_text("utf-8"))
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _raw(path: Path, cases: list[tuple[list[str], int]], every: int, *, cut_at_end: bool) -> list[Any]:
    """SentencePiece's own ids and spans, [CLS] and [SEP] added.

    With `cut_at_end` what is then too long is cut, as f_net's input_pipeline.py does; else first the longer text (of equals the
    second) is shortened token by token.
    """
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    answers: list[Any] = []
    for n, (texts, length) in enumerate(cases):
        if n % every:
            answers.append(None)
            continue
        tokens = []
        for text in texts:
            data = text.encode()
            pieces = processor.encode(text, return_type="proto").pieces
            assert [piece.id for piece in pieces] == processor.EncodeAsIds(text)
            tokens.append([(p.id, len(data[: p.begin].decode()), len(data[: p.end].decode())) for p in pieces])
        while not cut_at_end and 1 + sum(len(t) + 1 for t in tokens) > length:
            max(reversed(tokens), key=len).pop()
        rows = [(CLS, 0, 1, (0, 0))]
        for segment, text_tokens in enumerate(tokens):
            rows += [(token, segment, 0, (start, end)) for token, start, end in text_tokens] + [(SEP, segment, 1, (0, 0))]
        rows = rows[:length] + [(PAD, 0, 1, (0, 0))] * (length - len(rows))
        ids, types, special, spans = (list(column) for column in zip(*rows, strict=True))
        answers.append([ids, types, special, spans, processor.decode([i for i in ids if i not in (PAD, CLS, SEP, 6)])])
    return answers


def _own_spans(model: str, flavour: str, options: dict[str, bool]) -> Tokenizer:
    return Tokenizer.from_file(HERE / f"{model}.model", TokenizerOptions(flavour=flavour, **options))


def _header(column: int, sha256: str | None) -> dict[str, Any]:
    model, flavour, options, _ = COLUMNS[column]
    rules = {"do_lower_case": False, "keep_accents": True, "remove_space": True} | options
    header = {"model": f"{model}.model", "flavour": flavour, **rules, "oracle": ORACLES[flavour]}
    return header | ({"tokenizer_json_sha256": sha256} if sha256 else {})


def _line(number: int, case: tuple[list[str], int], answers: list[Any], own: list[Tokenizer | None]) -> dict[str, Any]:
    """One line of the file: a field that another column of this line has too is that column's index."""
    texts, length = case
    columns: list[Any] = []
    for answer, tokenizer in zip(answers, own, strict=True):
        if answer is None:
            columns.append(None)
            continue
        ids, types, special, offsets, _ = answer
        count = length - sum(1 for _ in _padding(ids, types, special, offsets))
        spans = offsets
        if tokenizer is not None:
            assert offsets is None
            spans = tokenizer.encode(*texts, padding=Padding(length)).spans
        fields = [ids[:count], _runs(types[:count]), _runs(special[:count]), _steps(spans[:count], special)]
        columns.append(fields[:3] + ([None] if tokenizer else []) + fields[3:])
    line: dict[str, Any] = {"texts": texts, "length": length, "columns": [_shared(columns, i) for i in range(len(columns))]}
    if number % DECODED == 0:
        line["decoded"] = [None if answer is None else answer[4] for answer in answers]
    return line


def _padding(ids: list[int], types: list[int], special: list[int], offsets: Any) -> Any:
    """The positions of padding, from the last; every tokenizer pads with 3, type 0, special, without a span."""
    for i in reversed(range(len(ids))):
        if (ids[i], special[i]) != (PAD, 1):
            return
        assert types[i] == 0
        assert offsets is None or tuple(offsets[i]) == (0, 0)
        yield i


def _runs(bits: list[int]) -> list[int]:
    """Lengths of runs, the first of zeros: [1, 0, 0, 1] is [0, 1, 2, 1]."""
    runs = [len(list(run)) for _, run in groupby(bits)]
    return [0, *runs] if bits and bits[0] else runs


def _steps(spans: Any, special: list[int]) -> list[int]:
    """Spans of the tokens that are not special, each as its distance from the end of the one before, and its width."""
    steps, end = [], 0
    for (start, stop), is_special in zip(spans, special, strict=False):
        if is_special:
            assert (start, stop) == (0, 0)
        else:
            steps += [start - end, stop - start]
            end = stop
    return steps


def _shared(columns: list[Any], index: int) -> Any:
    """A column whose fields are replaced by the index of the first column before it that has the same."""
    column = columns[index]
    if column is None:
        return None
    spans = lambda fields: fields[-1]  # noqa: E731
    found: list[Any] = []
    for place, field in enumerate(column):
        read = spans if place >= 3 else lambda fields, place=place: fields[place]
        same = (i for i, other in enumerate(columns[:index]) if other is not None and read(other) == field)
        found.append(None if field is None else next(same, field))
    return found


if __name__ == "__main__":
    main()
