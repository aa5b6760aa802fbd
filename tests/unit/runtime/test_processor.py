import pytest
from fnet_runtime.sessions.processor import multiplies_int8_exactly, saturates_int8


@pytest.mark.parametrize(
    ("flags", "machine", "saturates", "exact"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_vnni", "x86_64", False, True),
        ("flags\t\t: fpu avx2 avx_vnni", "AMD64", False, True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f", "x86_64", True, False),
        ("flags\t\t: fpu avx2", "aarch64", False, True),
        ("Features\t: asimd", "x86_64", False, False),
    ],
)
def test_int8_overflows_without_vnni(tmp_path, flags, machine, saturates, exact):
    (tmp_path / "cpuinfo").write_text(flags + "\n")
    assert saturates_int8(tmp_path / "cpuinfo", machine) == saturates
    assert multiplies_int8_exactly(tmp_path / "cpuinfo", machine) == exact


def test_a_system_that_lists_no_flags(tmp_path):
    assert not saturates_int8(tmp_path / "none", "x86_64")
    assert not multiplies_int8_exactly(tmp_path / "none", "x86_64")
