"""The reference is remembered by content, and what is remembered is bounded, whole or not there."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from fnet_runtime.tokenizer.encoding import PADDINGS, Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from support.checkpoints import LENGTH, VOCABULARY, tiny_config

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.base.cache import DIGEST_BYTES, Remembered
from fnet_export.engine.sessions.torch_session import TorchSession
from fnet_export.parity import reference
from fnet_export.parity.reference import reference_from_model
from fnet_export.texts.emails import emails
from fnet_export.texts.samples import parity_samples


def model_of(task="sequence-classification", seed=0, **changes):
    torch.manual_seed(seed)
    return FNet(tiny_config(**changes), TASKS[task]).eval().double()


def samples(task="sequence-classification", texts=3, contract="max_length"):
    tokenizer, padding = Tokenizer.from_file(VOCABULARY), Padding(LENGTH, contract)
    return parity_samples(TASKS[task], tokenizer, tiny_config(), emails()[:texts], padding=padding, choices=2)


def computed(model, given, cache):
    """Tell how many inputs were computed, not remembered, and give the reference."""
    steps = []
    found = reference_from_model(model, given, cache=cache, on_progress=steps.append)
    remembered = steps[0] if steps[0] > reference.ROWS_AT_ONCE else 0
    return len(given.names) - remembered, found


@pytest.mark.parametrize("task", TASKS)
def test_the_outputs_are_the_models(task, tmp_path):
    model, given = model_of(task), samples(task)
    wanted = TorchSession(model).run(given.batch([2, 3, 4]))
    for _ in range(2):
        found = reference_from_model(model, given, cache=Remembered(tmp_path))
        outputs = found.outputs([2, 3, 4])
        assert {name: array.dtype for name, array in outputs.items()} == dict.fromkeys(TASKS[task].outputs, np.float64)
        for name, array in outputs.items():
            assert np.abs(array - wanted[name]).max() < 1e-12
        assert found.bytes_of_one == sum(array[0].nbytes for array in outputs.values())
    kept = sum(path.stat().st_size for path in tmp_path.iterdir())
    if task == "masked-lm":  # what the decoder reads, not the logits
        assert kept < len(given.names) * found.bytes_of_one / 4


@pytest.mark.parametrize("task", TASKS)
def test_inputs_of_unlike_lengths_have_outputs_of_their_own(task, tmp_path):
    model, given = model_of(task), samples(task, contract="none")
    lengths = {inputs["input_ids"].shape[-1] for inputs in given.inputs}
    assert {1, 2, 3, LENGTH - 1, LENGTH} <= lengths
    wanted = [TorchSession(model).run(inputs) for inputs in given.inputs]
    for count in (len(given.names), 0):  # then all is remembered
        steps = []
        found = reference_from_model(model, given, cache=Remembered(tmp_path), on_progress=steps.append)
        assert (sum(steps), found.count) == (len(given.names), len(given.names))
        assert (len(steps) > 1) == (count > 0)
        for number, outputs in enumerate(wanted):
            for name, array in found.outputs([number]).items():
                assert array.shape == outputs[name].shape
                assert np.abs(array - outputs[name]).max() < 1e-12
        assert found.bytes_of_one == max(sum(array.nbytes for array in outputs.values()) for outputs in wanted)


@pytest.mark.parametrize("contract", PADDINGS)
@pytest.mark.parametrize("task", TASKS)
def test_outputs_may_be_asked_for_again(task, contract):
    assert_given_again(reference_from_model(model_of(task), samples(task, contract=contract)))


def test_outputs_are_made_again_where_the_disk_is_full(monkeypatch):
    whole = reference_from_model(model_of("masked-lm"), samples("masked-lm"))
    with Path("/dev/full").open("r+b", buffering=0) as full:
        monkeypatch.setattr(whole._logits, "_file", full)
        assert_given_again(whole)


def assert_given_again(whole):
    for number in (3, 1, 3, 1):
        outputs, expected = whole.outputs_again(number), whole.outputs([number])
        assert outputs.keys() == expected.keys()
        for name, array in outputs.items():
            assert np.array_equal(array, expected[name])
            assert array.dtype == np.float64


def test_what_is_remembered_is_not_computed_again(tmp_path):
    cache = Remembered(tmp_path / "cache")
    given, other = samples(), samples(texts=4)
    assert computed(model_of(), given, cache)[0] == len(given.names)
    assert computed(model_of(), given, cache)[0] == 0
    assert computed(model_of(), other, cache)[0] == 1  # the edges are known, and three of the texts
    assert computed(model_of(seed=1), given, cache)[0] == len(given.names)
    assert computed(model_of(layer_norm_eps=1e-5), given, cache)[0] == len(given.names)


def test_what_is_damaged_is_computed_again(tmp_path):
    cache, given = Remembered(tmp_path), samples()
    wanted = computed(model_of(), given, cache)[1].outputs(range(len(given.names)))
    for path in tmp_path.iterdir():
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    count, found = computed(model_of(), given, cache)
    assert count == len(given.names)
    assert np.array_equal(found.outputs(range(count))["logits"], wanted["logits"])


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    cache = Remembered(tmp_path / "file" / "cache")
    assert computed(model_of(), samples(), cache)[1].count == len(samples().names)
    assert cache.problem.startswith(f"{tmp_path / 'file' / 'cache'}: cannot be written (")


def test_a_large_reference_is_kept_in_a_file(monkeypatch):
    wanted = reference_from_model(model_of(), samples()).outputs([1, 2])
    monkeypatch.setattr(reference, "IN_MEMORY_BYTES", 1)
    found = reference_from_model(model_of(), samples())
    store = found._outputs._store
    assert (store._arrays, len(store._places)) == ({}, found.count)
    assert np.array_equal(found.outputs([1, 2])["logits"], wanted["logits"])


def test_what_fits_of_a_reference_is_kept_in_memory(monkeypatch):
    whole = reference_from_model(model_of("question-answering"), samples("question-answering"))
    assert whole._outputs._store._places == {}
    size = whole.outputs([0])["start_logits"].nbytes
    monkeypatch.setattr(reference, "IN_MEMORY_BYTES", 3 * size)
    found = reference_from_model(model_of("question-answering"), samples("question-answering"))
    store = found._outputs._store
    assert (len(store._arrays), len(store._places)) == (3, 2 * found.count - 3)
    for number in range(found.count):
        for name, array in found.outputs([number]).items():
            assert array.dtype == np.float64
            assert np.array_equal(array, whole.outputs([number])[name])


def test_the_files_used_longest_ago_go_first(tmp_path):
    cache = Remembered(tmp_path, largest_bytes=3 * (DIGEST_BYTES + 10))
    for age, key in enumerate("abcd"):
        cache.put(key, bytes(10))
        os.utime(tmp_path / key, (100 + age, 100 + age))
    assert cache.get("a") == bytes(10)  # used now
    cache.trim()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "c", "d"}
    assert cache.get("b") is None
    (tmp_path / "c").write_bytes(b"short")
    assert cache.get("c") is None
