"""The example trains, exports, scores and times, on a corpus of a few lines."""

import dataclasses
import sys

sys.path.insert(0, "examples")
import hybrid
import train
from corpus import Message


def test_both_models_are_trained_exported_and_set_side_by_side(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "VOCAB_SIZE", 60)
    small = dataclasses.replace(train.config(), hidden_size=8, intermediate_size=8, max_position_embeddings=64, extra={})
    for module in (train, hybrid):
        monkeypatch.setattr(module, "config", lambda: small)
    words = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]
    messages = [Message(str(i), "spam" if i % 2 else "ham", " ".join(words[i % 9 :] + words[: i % 9])) for i in range(24)]
    monkeypatch.setattr(hybrid, "prepared", lambda _: {"train": messages, "validation": messages[:4], "test": messages[:4]})
    monkeypatch.setattr(sys, "argv", ["hybrid.py", "--output", str(tmp_path), "--epochs", "1"])
    hybrid.main()
    shown = capsys.readouterr().out
    assert "0 of 3" in shown
    assert "2 of 3" in shown
    assert (tmp_path / "2-attention-layers-bundle" / "manifest.json").is_file()
