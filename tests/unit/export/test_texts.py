import pytest
from fnet_runtime.bundle.manifest import file_info

from fnet_export.base.errors import TextError
from fnet_export.texts.emails import EMAILS, emails
from fnet_export.texts.text_files import BUILT_IN, COUNT, texts_from_file


def test_the_built_in_data():
    data = texts_from_file(None)
    assert (data.name, data.sha256, len(data.texts)) == (BUILT_IN, file_info(EMAILS).sha256, COUNT)
    assert set(data.texts) <= set(emails())


def test_texts_of_a_file(tmp_path):
    lines, texts = tmp_path / "a.jsonl", tmp_path / "b.txt"
    lines.write_text('{"text": "one\u2028line"}\n\n{"text": "q", "text_pair": "a", "label": 3}\r\n', "utf-8")
    assert texts_from_file(lines).texts == ("one\u2028line", "q\n\na")
    texts.write_text('first é\r\n  \n{"text": "as it is"}\n', "utf-8")
    data = texts_from_file(texts)
    assert data.texts == ("first é", '{"text": "as it is"}')
    assert (data.name, data.sha256) == ("b.txt", file_info(texts).sha256)
    texts.write_text("\n".join(str(i) for i in range(6400)))
    assert texts_from_file(texts).texts == tuple(str(100 * i) for i in range(COUNT))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", None, "cannot be read .*; expected texts in UTF-8, one text per line or JSON Lines. Check the path"),
        ("a.txt", b"\xff\xfe", "cannot be read .*; expected texts in UTF-8, one text per line or JSON Lines. Check the path"),
        ("a.txt", b"", "no texts; expected one text per line"),
        ("a.jsonl", b" \n\n", "no texts; expected one text per line"),
        ("a.jsonl", b'{"text": "x"}\n\n{"text"', r"line 3: not JSON \(.*\); expected an object with a text"),
        (
            "a.JSONL",
            b'{"text": "x"}\n{"text": "\\ud800"}',
            "line 2: holds a lone surrogate, which is not a character; expected valid",
        ),
        ("a.jsonl", b"[" * 100_000, r"line 1: not JSON \(.*\); expected an object with a text"),
        ("a.jsonl", b'["x"]', r'line 1: expected {"text": "..."}, found \["x"\]'),
        ("a.jsonl", b'{"texts": "x"}', 'line 1: expected {"text": "..."}, found {"texts": "x"}'),
        ("a.jsonl", b'{"text": 1}', 'line 1: expected {"text": "..."}, found {"text": 1}'),
        ("a.jsonl", b'{"text": "x", "text_pair": 1}', 'line 1: expected {"text": "..."}, found {"text": "x", "text_pair": 1}'),
    ],
)
def test_files_that_hold_no_texts(tmp_path, name, data, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(TextError, match=f"{name}: {message}"):
        texts_from_file(tmp_path / name)
