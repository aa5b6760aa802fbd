"""A stand-in for CUDA's Python bindings that knows one GPU and runs nothing."""

from types import SimpleNamespace


class FakeCuda:
    """What `gpu_of_host` asks."""

    cudaDeviceAttr = SimpleNamespace(cudaDevAttrComputeCapabilityMajor=75, cudaDevAttrComputeCapabilityMinor=76)

    def __init__(self, name="NVIDIA L4", capability=(8, 9), driver=13000):
        self.name, self.capability, self.driver = name, capability, driver

    def cudaGetDeviceCount(self):
        return 0, 1

    def cudaGetDevice(self):
        return 0, 0

    def cudaSetDevice(self, device):
        assert device == 0
        return (0,)

    def cudaDeviceGetAttribute(self, attribute, device):
        return 0, self.capability[attribute - 75]

    def cudaGetDeviceProperties(self, device):
        return 0, SimpleNamespace(name=self.name.encode())

    def cudaDriverGetVersion(self):
        return 0, self.driver


def importer_of(**modules):
    """Return an importer that has some modules, named with `_` in place of `.`, and no others."""
    known = {name.replace("cuda_bindings_runtime", "cuda.bindings.runtime"): module for name, module in modules.items()}

    def imported(name):
        if name not in known:
            raise ImportError(f"No module named {name!r}")
        return known[name]

    return imported
