"""The GPUs of this host, as NVIDIA's driver lists them: no other library of CUDA is needed."""

import ctypes
import sys
from typing import Any

from fnet_runtime.engine.cuda import NO_GPU, Gpu
from fnet_runtime.errors import NoDeviceError

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
MAJOR, MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""
NAME_BYTES = 256


def gpus_of_driver(*, library: str = DRIVER) -> tuple[Gpu, ...]:
    """Describe every GPU that the driver shows to this process, in the driver's order. Raises NoDeviceError if there is no GPU."""
    try:
        driver = ctypes.CDLL(library)
        _call(driver, "cuInit", 0)
        version, count = ctypes.c_int(), ctypes.c_int()
        _call(driver, "cuDriverGetVersion", ctypes.byref(version))
        _call(driver, "cuDeviceGetCount", ctypes.byref(count))
    except (OSError, AttributeError) as error:
        raise NoDeviceError(f"{NO_GPU} ({error})") from error
    if count.value < 1:
        raise NoDeviceError(f"{NO_GPU} (its driver shows no GPU to this process)")
    shown = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return tuple(_gpu(driver, number, shown) for number in range(count.value))


def _gpu(driver: Any, number: int, version: str) -> Gpu:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(NAME_BYTES)
    _call(driver, "cuDeviceGet", ctypes.byref(device), number)
    _call(driver, "cuDeviceGetName", name, NAME_BYTES, device)
    _call(driver, "cuDeviceGetAttribute", ctypes.byref(major), MAJOR, device)
    _call(driver, "cuDeviceGetAttribute", ctypes.byref(minor), MINOR, device)
    return Gpu(name=name.value.decode("utf-8", "replace"), compute_capability=f"{major.value}.{minor.value}", driver=version)


def _call(driver: Any, name: str, *arguments: Any) -> None:
    """Call a function of the driver. Raises NoDeviceError with the number that it returns, if that is not 0."""
    code = getattr(driver, name)(*arguments)
    if code != 0:
        raise NoDeviceError(f"{NO_GPU} ({name}: error {code} of CUDA's driver)")
