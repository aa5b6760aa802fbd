import errno
import os
from pathlib import Path

import onnx_ir as ir
import pytest
from fnet_runtime.bundle.manifest import MODEL, MODEL_DATA, TensorInfo
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.tokenizer.encoding import Padding
from support.checkpoints import LENGTH, tiny_config

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.base.errors import OutputError
from fnet_export.base.progress import Bars, Lines, Progress, Quiet
from fnet_export.bundle.folder import bundle_folder, check_output, files_from_folder
from fnet_export.graph.file import write_graph
from fnet_export.graph.tensors import tensors_from_task
from fnet_export.graph.trace import graph_from_model
from fnet_export.parity.report.evidence import AgreementError, ParityError


def test_weights_that_pass_the_limit_stand_in_a_file_of_their_own(tmp_path):
    graph = graph_from_model(FNet(tiny_config(), TASKS["sequence-classification"], transform="dft").eval())
    before = ir.to_proto(graph).SerializeToString(deterministic=True)
    write_graph(graph, tmp_path / MODEL, external_above_bytes=1000)
    assert ir.to_proto(graph).SerializeToString(deterministic=True) == before
    assert (tmp_path / MODEL_DATA).stat().st_size > (tmp_path / MODEL).stat().st_size
    inputs, _ = tensors_from_task(TASKS["sequence-classification"], tiny_config(), Padding(LENGTH))
    OrtSession(tmp_path / MODEL, inputs)
    assert set(files_from_folder(tmp_path)) == {MODEL, MODEL_DATA}
    other = tmp_path / "one"
    other.mkdir()
    write_graph(ir.load(tmp_path / MODEL), other / MODEL)
    assert set(files_from_folder(other)) == {MODEL}


@pytest.mark.parametrize("name", TASKS)
def test_tensors_of_every_task(name):
    inputs, outputs = tensors_from_task(TASKS[name], tiny_config(), Padding(LENGTH))
    assert [t.name for t in inputs] == ["input_ids", "token_type_ids"]
    assert inputs[0].axes[-1] == LENGTH
    assert {t.dtype for t in outputs} == {"float32"}
    for tensor in outputs:
        assert all(isinstance(axis, int) or axis in ("batch_size", "num_choices") for axis in tensor.axes)
    if name == "feature-extraction":
        assert outputs[0] == TensorInfo(name="last_hidden_state", dtype="float32", axes=("batch_size", LENGTH, 12))


@pytest.mark.parametrize("multiple_of", [1, 8])
@pytest.mark.parametrize("name", TASKS)
def test_tensors_of_texts_at_their_own_length(name, multiple_of):
    padded = tensors_from_task(TASKS[name], tiny_config(), Padding(LENGTH))
    assert LENGTH not in (tiny_config().hidden_size, tiny_config().vocab_size, tiny_config().num_labels)
    for tensors, wanted in zip(
        tensors_from_task(TASKS[name], tiny_config(), Padding(LENGTH, "none", multiple_of)), padded, strict=True
    ):
        assert [(t.name, t.dtype) for t in tensors] == [(t.name, t.dtype) for t in wanted]
        assert [t.axes for t in tensors] == [
            tuple("sequence_length" if axis == LENGTH else axis for axis in t.axes) for t in wanted
        ]
    inputs, _ = tensors_from_task(TASKS[name], tiny_config(), Padding(LENGTH, "none", multiple_of))
    assert {t.axes[-1] for t in inputs} == {"sequence_length"}


def test_the_folder_appears_whole_or_not_at_all(tmp_path):
    with bundle_folder(tmp_path / "deep" / "b", force=False) as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "deep" / "b").exists()
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["b"]
    with pytest.raises(KeyError), bundle_folder(tmp_path / "c", force=False) as folder:
        raise KeyError
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]


def test_force_never_replaces_what_is_no_bundle(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letters").write_text("dear")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    for name in ("home", "file", "link"):
        with pytest.raises(OutputError, match="only a bundle is replaced"), bundle_folder(tmp_path / name, force=True):
            pass
    assert (tmp_path / "home" / "letters").read_text() == "dear"
    webext = tmp_path / "webext"
    webext.mkdir()
    (webext / "manifest.json").write_text('{"manifest_version": 3}')
    with pytest.raises(OutputError, match="only a bundle is replaced"), bundle_folder(webext, force=True):
        pass
    assert (webext / "manifest.json").exists()
    (tmp_path / "empty").mkdir()
    with bundle_folder(tmp_path / "empty", force=True):
        pass


def test_force_keeps_a_bundle_that_holds_other_files_too(bundle):
    (bundle / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="only a bundle is replaced"), bundle_folder(bundle, force=True):
        pass
    assert (bundle / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_failed_files_never_replace_what_is_there(tmp_path, kind):
    mine = tmp_path / "b.failed"
    if kind == "folder":
        mine.mkdir()
        mine = mine / "notes.txt"
    mine.write_text("mine")
    expected = r"parity failed: x; the files are in .*b\.failed-2, which is no bundle; fnet-export bisect .* looks for the place"
    with pytest.raises(ParityError, match=expected), bundle_folder(tmp_path / "b", force=False):
        raise ParityError("parity failed: x", None)
    assert mine.read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.failed", "b.failed-2"]


def test_too_few_equal_decisions_have_no_place_to_look_for(tmp_path):
    with (
        pytest.raises(AgreementError, match="^x; the files are in .*which is no bundle$"),
        bundle_folder(tmp_path / "b", force=False),
    ):
        raise AgreementError("x", None)


def test_a_name_that_the_disk_cannot_hold(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"), bundle_folder(tmp_path / ("a" * 300), force=False):
        pass


@pytest.mark.parametrize(
    ("name", "message"),
    [("new/..", "found '..'; write"), ("file/b", "file is not a folder that"), ("b" * 250, "cannot be written .File name")],
)
def test_places_that_cannot_take_a_bundle_are_refused_before_any_work(tmp_path, name, message):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=message):
        check_output(tmp_path / name, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_place_that_only_a_trial_finds_out_is_refused_before_any_work():
    """A user who may write anywhere is told that /proc takes a folder, and it does not."""
    with pytest.raises(OutputError, match=r"/proc/fnet/b: cannot be written \("):
        check_output(Path("/proc/fnet/b"), force=False)


def left_by_a_dead_process(output, kind):
    """What SIGKILL leaves: folders, and a lock that nobody holds."""
    folder = output.with_name(f".{output.name}.{kind}-0123abcd")
    folder.mkdir()
    output.with_name(f".{output.name}.lock").write_text("1")
    return folder


def test_what_a_dead_process_left_is_removed(tmp_path):
    output = tmp_path / "b"
    (left_by_a_dead_process(output, "partial") / "model.onnx").write_text("x")
    (left_by_a_dead_process(output, "old") / "b").mkdir()
    (tmp_path / ".bb.partial-0").mkdir()
    with bundle_folder(output, force=True) as folder:
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([".b.lock", "b", ".bb.partial-0", folder.name])
    assert sorted(p.name for p in tmp_path.iterdir()) == [".bb.partial-0", "b"]


def test_a_bundle_that_a_dead_process_had_set_aside_is_put_back(bundle):
    bundle.rename(left_by_a_dead_process(bundle, "old") / bundle.name)
    with pytest.raises(OutputError, match="exists; expected a new folder"), bundle_folder(bundle, force=False):
        pass
    assert (bundle / MODEL).exists()
    assert [p.name for p in bundle.parent.iterdir()] == [bundle.name]


def test_the_second_of_two_exports_to_one_output_is_refused(tmp_path):
    output = tmp_path / "b"
    expected = f"b: process {os.getpid()} is writing it; wait until that has ended, or choose another --output"
    with bundle_folder(output, force=False) as folder:
        (folder / "file").write_text("x")
        for refused in (lambda: check_output(output, force=False), lambda: bundle_folder(output, force=True).__enter__()):
            with pytest.raises(OutputError, match=expected):
                refused()
        with bundle_folder(tmp_path / "c", force=False):
            pass
    assert (output / "file").read_text() == "x"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "c"]


def test_a_file_system_without_locks_refuses_and_removes_nothing(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fnet_export.base.writable.fcntl.flock", no_locks)
    left = left_by_a_dead_process(tmp_path / "b", "partial")
    with bundle_folder(tmp_path / "b", force=False):
        pass
    assert sorted(tmp_path.iterdir()) == [left, tmp_path / "b"]


def test_paths_that_go_up_leave_nothing_on_their_way(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for output in ("new/../b", "../c"):
        with bundle_folder(Path(output), force=False):
            pass
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["c", "here", "here/b"]


def test_a_bundle_has_the_mode_of_any_new_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    with bundle_folder(tmp_path / "b", force=False):
        pass
    assert (tmp_path / "b").stat().st_mode == (tmp_path / "mine").stat().st_mode


def test_bars_end_where_their_terminal_is_gone(monkeypatch):
    bars = Bars()
    stop = bars._display.stop

    def gone():
        stop()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(bars._display, "stop", gone)
    with pytest.raises(SystemExit, match="129"), bars:
        raise SystemExit(129)


def test_every_display_takes_the_same_calls(capsys):
    with Bars() as bars:
        displays: list[Progress] = [Quiet(), Lines(), bars]
        for display in displays:
            display.stage("trace")
            display.step(1, 2, "half")
            display.note("look [here]")
            display.stage("next")
    shown = capsys.readouterr().err
    assert "trace\nnote: look [here]\nnext\n" in shown
    assert shown.count("look [here]") == 2
