"""A stand-in for `tensorrt`, which is not on PyPI whole. tests/deep/test_tensorrt_stubs.py compares it with tensorrt-stubs.

Each class has the methods that the project calls, with the parameters of the stubs. `fake_tensorrt` makes a module and records
what a build sets.
"""

import enum
from types import SimpleNamespace

TIMES = b"times of "


class BuilderFlag(enum.Enum):
    TF32, VERSION_COMPATIBLE, STRIP_PLAN, REFIT_IDENTICAL = range(4)


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class HardwareCompatibilityLevel(enum.Enum):
    NONE, AMPERE_PLUS, SAME_COMPUTE_CAPABILITY = range(3)


class ProfilingVerbosity(enum.Enum):
    DETAILED = 1


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class LayerInformationFormat(enum.Enum):
    JSON = 1


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING = range(3)

    def __init__(self):
        pass


class IOptimizationProfile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, input, min, opt, max):
        self.shapes[input] = (min, opt, max)


class ITimingCache:
    def __init__(self, data):
        self.data = data

    def serialize(self):
        return self.data


class IBuilderConfig:
    builder_optimization_level = 3
    hardware_compatibility_level = HardwareCompatibilityLevel.NONE

    def __init__(self, version):
        self.version, self.flags, self.pools, self.profiles, self.cache = version, {BuilderFlag.TF32}, {}, [], None

    def set_flag(self, flag):
        self.flags.add(flag)

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def set_memory_pool_limit(self, pool, pool_size):
        self.pools[pool] = pool_size

    def create_timing_cache(self, serialized_timing_cache):
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache, ignore_mismatch):
        self.cache = cache
        return not cache.data or ignore_mismatch or cache.data == TIMES + self.version.encode()

    def get_timing_cache(self):
        return ITimingCache(TIMES + self.version.encode())

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)
        return len(self.profiles) - 1


class INetworkDefinition:
    num_layers = 0


class OnnxParser:
    num_errors = 0

    def __init__(self, network, logger):
        self.logger = logger

    def parse_from_file(self, model):
        return True


class Runtime:
    engine_host_code_allowed = False

    def __init__(self, logger):
        pass

    def deserialize_cuda_engine(self, serialized_engine):
        return None


CLASSES = (
    BuilderFlag,
    MemoryPoolType,
    HardwareCompatibilityLevel,
    ProfilingVerbosity,
    NetworkDefinitionCreationFlag,
    LayerInformationFormat,
    ILogger,
    IOptimizationProfile,
    ITimingCache,
    IBuilderConfig,
    INetworkDefinition,
    OnnxParser,
    Runtime,
)


def builder_class(version, configs):
    """Return a Builder that appends each configuration that it builds with to `configs`."""

    class Builder:
        def __init__(self, logger):
            self.logger = logger

        def create_network(self, flags=0):
            assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
            return INetworkDefinition()

        def create_builder_config(self):
            return IBuilderConfig(version)

        def create_optimization_profile(self):
            return IOptimizationProfile()

        def build_serialized_network(self, network, config):
            configs.append(config)
            return b"engine of " + version.encode()

    return Builder


def fake_tensorrt(version="10.13.0.35", *, without=()):
    """Return a module of a version, and the list of the configurations that it builds with. `without` are parts that it lacks."""
    configs = []
    parts = {kind.__name__: kind for kind in CLASSES} | {"Builder": builder_class(version, configs)}
    kept = {name: kind for name, kind in parts.items() if name not in without}
    return SimpleNamespace(__version__=version, **kept), configs
