"""The wheels that travel in parts to the GPU machine."""

import hashlib
import zipfile

import pytest
from support.paths import ROOT


@pytest.fixture
def parts(tmp_path):
    """Two wheels in parts, as scripts/gpu_wheels.sh leaves them."""
    folder, sums = tmp_path / "parts", []
    for call, name in enumerate(("whole", "lost"), start=1):
        wheel = tmp_path / f"{name}-1-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{name}.py", "ANSWER = 42\n")
        data = wheel.read_bytes()
        sums.append(f"{hashlib.sha256(data).hexdigest()}  {wheel.name}")
        (folder / str(call)).mkdir(parents=True)
        for i, start in enumerate(range(0, len(data), 50)):
            (folder / str(call) / f"{wheel.name}.part{i:02}").write_bytes(data[start : start + 50])
    (folder / "1" / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    return folder


@pytest.fixture
def unpacked_wheels(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from on_gpu.wheels import unpacked_wheels

    return unpacked_wheels


def test_wheels_are_joined_and_unpacked(parts, tmp_path, unpacked_wheels):
    found = unpacked_wheels(parts, tmp_path)
    assert found == {"whole-1-py3-none-any.whl": "joined", "lost-1-py3-none-any.whl": "joined"}
    assert (tmp_path / "whole.py").read_text() == "ANSWER = 42\n"


def test_a_wheel_without_all_of_its_parts_is_named(parts, tmp_path, unpacked_wheels):
    (parts / "2" / "lost-1-py3-none-any.whl.part01").unlink()
    assert unpacked_wheels(parts, tmp_path)["lost-1-py3-none-any.whl"].startswith("a part is missing or damaged: sha256 ")
    for part in parts.glob("2/*"):
        part.unlink()
    found = unpacked_wheels(parts, tmp_path)
    assert found == {"whole-1-py3-none-any.whl": "joined", "lost-1-py3-none-any.whl": "no part of it is there"}


def test_a_wheel_of_another_python_is_not_unpacked(parts, tmp_path, unpacked_wheels):
    for path in [*parts.rglob("whole-1-py3-none-any.whl.part*")]:
        path.rename(path.with_name(path.name.replace("py3-none-any", "cp27-cp27m-win32")))
    sums = parts / "1" / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("whole-1-py3-none-any", "whole-1-cp27-cp27m-win32"))
    assert "cannot take it" in unpacked_wheels(parts, tmp_path)["whole-1-cp27-cp27m-win32.whl"]
    assert not (tmp_path / "whole.py").exists()


def test_a_folder_without_sums_says_what_to_run(tmp_path, unpacked_wheels):
    assert "scripts/gpu_wheels.sh" in unpacked_wheels(tmp_path, tmp_path)["SHA256SUMS"]
