"""ONNX Runtime, which runs every bundle on every host: on the CPU, or by a provider on a GPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from fnet_runtime.bundle.manifest import FP32, TensorInfo
from fnet_runtime.errors import OptionError, SessionError
from fnet_runtime.sessions.processor import multiplies_int8_exactly
from fnet_runtime.sessions.providers import (
    CPU,
    PROVIDERS,
    Provider,
    check_provider,
    ep_devices,
    nodes_from_session,
    not_taken_in_words,
)
from fnet_runtime.sessions.session import ANY_BATCH, Ids, Outputs, check_graph_inputs, checked_inputs

ON_CPU = PROVIDERS[CPU]
NO_FALLBACK, RECORD = "session.disable_cpu_ep_fallback", "session.record_ep_graph_assignment_info"
LISTS_NODES = hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info")
"""From release 1.24 on."""
# the CPU's kernel that fuses a residual with LayerNormalization takes several times as long as the two alone (1.32, measured)
UNFUSED = {"optimization.disable_specified_optimizers": "SkipLayerNormFusion"}
OPTIMIZED = "optimized.onnx"
"""The graph that ONNX Runtime runs, in the folder of a profile."""
FELL_BACK = "fallback to CPU EP has been explicitly disabled"
"""ONNX Runtime's words when a provider did not take every node."""


class OrtSession:
    """A model.onnx, opened by ONNX Runtime. Any number of threads may run it at once; each thread runs the graph itself.

    `notes` says which nodes a provider did not take, if that is allowed.
    """

    batch = ANY_BATCH

    def __init__(
        self,
        model: Path,
        inputs: Sequence[TensorInfo],
        *,
        threads: int | None = None,
        optimize: bool = True,
        provider: Provider = ON_CPU,
        precision: str = FP32,
        allow_partial: bool = False,
        device: int = 0,
        profile: Path | None = None,
    ) -> None:
        """Open a graph. `threads` limits the cores that it uses. Without `optimize`, ONNX Runtime runs the graph as it is.

        `profile` switches ONNX Runtime's profiler on. It is a folder for what ONNX Runtime then writes: the graph that it runs
        (OPTIMIZED) and the times.
        `provider` must take every node of the graph, unless `allow_partial` leaves the others to the CPU. `device` is the number
        of its GPU. Raises SessionError, and LibraryError or NoDeviceError when this host cannot use the provider.
        """
        self._inputs, self._model = tuple(inputs), model
        self.notes: tuple[str, ...] = ()
        options = _Options(threads=threads, optimize=optimize, profile=profile)
        try:
            if provider.name == CPU:
                self._session = _cpu_session(model, options)
            else:
                on_gpu = _OnGpu(provider=provider, options=provider.options_of(precision), device=device)
                self._session, self.notes = _provider_session(model, options, on_gpu, allow_partial)
        except (SessionError, OptionError):
            raise
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise SessionError(f"{model}: ONNX Runtime {onnxruntime.__version__} cannot open it ({error})") from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        graph_inputs = [
            TensorInfo(name=i.name, dtype=i.type.removeprefix("tensor(").removesuffix(")"), axes=tuple(i.shape))
            for i in self._session.get_inputs()
        ]
        check_graph_inputs(model, graph_inputs, inputs)

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Run the graph; see `Session.run`."""
        fed = checked_inputs(inputs, self._inputs)
        try:
            outputs = self._session.run(self._outputs, fed)
        except Exception as error:
            raise SessionError(f"ONNX Runtime failed: {error}") from error
        return dict(zip(self._outputs, outputs, strict=True))

    def end_profile(self) -> str:
        """Switch the profiler off, and return the JSON that it wrote of all runs."""
        return Path(self._session.end_profiling()).read_text("utf-8")


class _Options:
    """Make the options of a session; ONNX Runtime cannot take an entry back."""

    def __init__(self, *, threads: int | None, optimize: bool, profile: Path | None) -> None:
        self._threads, self._optimize, self._profile = threads, optimize, profile

    def made(self, **entries: str) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # fatal errors only: every failure is raised, and need not be printed
        # without VNNI, the fast int8 products of x86-64 overflow 16 bits; with this entry ONNX Runtime takes exact products, which
        # are slower even with VNNI (1.32: 1.5 to 1.8 times for fnet-base)
        if not multiplies_int8_exactly():
            options.add_session_config_entry("session.x64quantprecision", "1")
        for name, value in entries.items():
            options.add_session_config_entry(name, value)
        if not self._optimize:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        if self._profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(self._profile / "profile")
            options.optimized_model_filepath = str(self._profile / OPTIMIZED)
            options.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{OPTIMIZED}.data")
        return options


def _cpu_session(model: Path, options: _Options) -> onnxruntime.InferenceSession:
    """Open a graph. Where that fails, open it with int8 products computed in float32, which is slower and exact too.

    Without VNNI, ONNX Runtime 1.32 cannot make exact int8 products of a weight that two nodes read.
    """
    try:
        return onnxruntime.InferenceSession(str(model), options.made(**UNFUSED), providers=[ON_CPU.ort_name])
    except Exception:
        exact = options.made(**UNFUSED, **{"session.disable_quant_qdq": "1"})
        return onnxruntime.InferenceSession(str(model), exact, providers=[ON_CPU.ort_name])


@dataclass(frozen=True, kw_only=True)
class _OnGpu:
    """A provider, the options that it gets, and the number of its GPU."""

    provider: Provider
    options: dict[str, str]
    device: int


def _provider_session(
    model: Path, options: _Options, on_gpu: _OnGpu, allow_partial: bool
) -> tuple[onnxruntime.InferenceSession, tuple[str, ...]]:
    """Open a graph with a provider, and return the notes on it.

    ONNX Runtime itself refuses a graph that the provider takes only in part. Such a graph is opened once more, to list the nodes
    that the provider did not take. Only a release that can list them opens a graph in part at once.
    """
    provider = on_gpu.provider
    check_provider(provider)
    if not (allow_partial and LISTS_NODES):
        try:
            return _opened(model, options.made(**{NO_FALLBACK: "1"}), on_gpu), ()
        except Exception as error:
            if FELL_BACK not in str(error):
                raise
    session = _opened(model, options.made(**{RECORD: "1"}), on_gpu)
    left = not_taken_in_words(provider, nodes_from_session(session))
    if left and not allow_partial:
        raise SessionError(
            f"{model}: {left}. Let the CPU run them with --allow-partial (allow_partial=True), or open the bundle without a "
            "provider"
        )
    return session, ((f"{left}. The CPU runs them",) if left else ())


def _opened(model: Path, options: Any, on_gpu: _OnGpu) -> onnxruntime.InferenceSession:
    """Open a graph with a provider that is loaded. Raises SessionError where ONNX Runtime opened it without the provider.

    Raises OptionError if a plugin found no GPU of that number.
    """
    provider, chosen = on_gpu.provider, on_gpu.options
    if provider.plugin:
        devices = ep_devices(provider)
        if on_gpu.device >= len(devices):
            raise OptionError(f"device: expected 0 to {len(devices) - 1}, found {on_gpu.device}")
        options.add_provider_for_devices([devices[on_gpu.device]], chosen)
        session = onnxruntime.InferenceSession(str(model), options, enable_fallback=0)
    else:
        chosen = {"device_id": str(on_gpu.device), **chosen}
        session = onnxruntime.InferenceSession(str(model), options, providers=[(provider.ort_name, chosen)], enable_fallback=0)
    if provider.ort_name not in session.get_providers():
        raise SessionError(
            f"{model}: ONNX Runtime {onnxruntime.__version__} could not start {provider.ort_name}, and opened the graph with "
            f"{', '.join(session.get_providers())}. Run fnet-run --devices to see what this host lacks"
        )
    return session
