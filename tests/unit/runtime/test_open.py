"""Bundles that are opened: what is refused, and what an opened bundle takes."""

import json

import pytest
from fnet_runtime.bundle.manifest import MANIFEST, manifest_from_folder
from fnet_runtime.errors import BundleError, InputError, SessionError
from fnet_runtime.pipeline.open import load
from support.bundles import replaced
from support.hostile import HOSTILE, TASK, altered


def test_load(bundle):
    pipe = load(bundle, threads=1)
    answer = pipe("the quick fox")
    assert answer.label in pipe.manifest.labels
    assert sum(s.score for s in answer.scores) == pytest.approx(1)
    assert all(check.passed for check in pipe.self_test())
    assert pipe("fox " * 250_000).label in pipe.manifest.labels
    assert pipe("").label in pipe.manifest.labels
    with pytest.raises(InputError, match="unknown runtime 'webgpu'; expected one of auto, onnxruntime"):
        load(bundle, runtime="webgpu")
    with pytest.raises(InputError, match="has no engine for tensorrt; it opens with onnxruntime"):
        load(bundle, runtime="tensorrt")


def test_a_model_of_one_token_type_takes_one_text(bundle):
    config = json.loads((bundle / "config.json").read_text()) | {"type_vocab_size": 1}
    pipe = load(replaced(bundle, "config.json", json.dumps(config).encode()))
    assert pipe("a").label in pipe.manifest.labels
    expected = (
        r"^sequence-classification: expected one text, found a pair; this model has one token type \(type_vocab_size 1\), "
        "and a second text needs another token type$"
    )
    for ask in (pipe, pipe.inputs):
        with pytest.raises(InputError, match=expected):
            ask("a", "b")


def test_load_refuses_files_that_do_not_fit_together(bundle):
    config, vocabulary = (bundle / "config.json").read_bytes(), (bundle / "spiece.model").read_bytes()
    with pytest.raises(BundleError, match="is not the config.json of an FNet"):
        load(replaced(bundle, "config.json", b"{}"))
    with pytest.raises(BundleError, match="pieces with <pad> at 3; the model has 20 embeddings"):
        load(replaced(bundle, "config.json", b'{"vocab_size": 20}'))
    replaced(bundle, "config.json", config)
    with pytest.raises(BundleError, match="not a SentencePiece model"):
        load(replaced(bundle, "spiece.model", vocabulary[:50]))
    replaced(bundle, "spiece.model", vocabulary)
    with pytest.raises(SessionError, match="cannot open it"):
        load(replaced(bundle, "model.onnx", b"x"))
    path = bundle / MANIFEST
    path.write_text(path.read_text().replace('"sequence-classification"', '"summarization"'))
    with pytest.raises(BundleError, match="unknown task 'summarization'"):
        load(bundle)
    assert manifest_from_folder(bundle).task == "summarization"


def test_longer_texts_than_the_bound_are_refused(bundle):
    pipe = load(bundle, max_text_bytes=8)
    assert pipe("fox" + "é" * 2).label == load(bundle)("fox" + "é" * 2).label
    for texts in (["fox" + "é" * 3], ["fox", "the dog !"]):
        with pytest.raises(
            InputError, match=r"at most 8 bytes of UTF-8, found 9; max_text_bytes \(fnet-run: --max-text-bytes\) sets the bound"
        ):
            pipe(texts)
    for request in (("fox", "the dog !"), ("the dog !", "fox")):
        with pytest.raises(InputError, match="at most 8 bytes of UTF-8, found 9"):
            pipe(*request)
        with pytest.raises(InputError, match="at most 8 bytes of UTF-8, found 9"):
            pipe.inputs(*request)
    for bound in (0, -1, "2", 1.5):
        with pytest.raises(InputError, match=f"max_text_bytes: expected an integer from 1, found {bound!r}"):
            load(bundle, max_text_bytes=bound)


def test_top_k_and_threads_are_integers(bundle):
    with pytest.raises(InputError, match="top_k: expected an integer from 1, found '5'"):
        load(bundle)("a", top_k="5")
    for threads in (0, -1, "2", 100_000):
        with pytest.raises(InputError, match=f"threads: expected 1 to 1024, found {threads!r}"):
            load(bundle, threads=threads)


@pytest.mark.parametrize(("changes", "message"), TASK)
def test_manifests_that_contradict_their_task(bundle, changes, message):
    with pytest.raises(BundleError, match=message):
        load(altered(bundle, **changes))


def used(bundle, hostile):
    opened = load(bundle, threads=1)
    return opened.self_test() if hostile.self_test else opened("a")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bundles(bundle, name):
    HOSTILE[name].damage(bundle)
    with pytest.raises(HOSTILE[name].error) as refused:
        used(bundle, HOSTILE[name])
    assert type(refused.value) is HOSTILE[name].error


def test_a_graph_of_another_task_is_told(bundle):
    HOSTILE["a graph of another task"].damage(bundle)
    with pytest.raises(SessionError, match="logits: the graph's output has other axes than token-classification has"):
        load(bundle)("a")
