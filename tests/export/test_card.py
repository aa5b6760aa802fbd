"""README.md of a bundle: what is in it, and its command makes the bundle again."""

import dataclasses
import json
import shlex

from click.testing import CliRunner
from fnet_runtime.bundle.manifest import CARD, MANIFEST, PARITY, manifest_from_folder
from support.cards import blocks_of, card_of
from support.checkpoints import save_tiny
from support.exports import export

from fnet_core.tasks import TASKS
from fnet_export.bundle.card import EXAMPLES, card_from_manifest, code
from fnet_export.commands.cli import main


def test_every_task_has_an_example():
    assert set(EXAMPLES) == set(TASKS)


def test_its_command_makes_the_same_manifest(tmp_path, monkeypatch):
    folder = save_tiny(tmp_path / "my model", architectures=("FNetForSequenceClassification",))
    first = export(folder, tmp_path / "first", task="auto", padding="none", tokenizer="fnet-fast").folder
    *_, command = blocks_of(card_of(first), "bash")
    assert shlex.split(command)[:5] == ["fnet-export", "--target", "onnx", "--task", "sequence-classification"]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, [*shlex.split(command)[1:], "--output", "second"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "second" / MANIFEST).read_text() == (first / MANIFEST).read_text()
    assert card_of(tmp_path / "second") == card_of(first)


def test_a_card_that_was_edited_is_still_a_card(bundle, checkpoint, tmp_path):
    (bundle / CARD).write_text("# My own words\n")
    manifest = manifest_from_folder(bundle)
    assert CARD not in manifest.files
    again = export(checkpoint, bundle, force=True).folder
    assert "# FNet for sequence-classification" in card_of(again)


def card_with(bundle, **changes):
    manifest = dataclasses.replace(manifest_from_folder(bundle), **changes)
    return card_from_manifest(manifest, json.loads((bundle / PARITY).read_text()), ["fnet-export", "--model", "a b"])


def test_what_a_checkpoint_says_breaks_no_table(whole_bundle):
    card = card_with(whole_bundle, labels=("a|b", "`c`", "d\ne", "<b>"))
    assert "| labels | `a\\|b`, `` `c` ``, `d\\ne`, `<b>` |\n" in card
    assert code("plain") == "`plain`"
    assert "fnet-export --model 'a b'\n" in card


def test_a_hub_id_is_the_base_of_the_card(whole_bundle):
    source = dataclasses.replace(manifest_from_folder(whole_bundle).source, id="google/fnet-base", revision="abc")
    head = card_with(whole_bundle, source=source).split("---\n")[1]
    assert head == 'tags:\n- fnet\n- onnx\npipeline_tag: text-classification\nbase_model: "google/fnet-base"\n'
    assert "base_model" not in card_with(whole_bundle)


def test_a_failed_verdict_is_in_the_card(whole_bundle):
    values = json.loads((whole_bundle / PARITY).read_text()) | {"passed": False}
    assert "The export **failed**" in card_from_manifest(manifest_from_folder(whole_bundle), values, ["fnet-export"])
