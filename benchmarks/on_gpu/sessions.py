"""ONNX Runtime on the device: as a Session for parity, bound to device memory for time, and asked what fell back to the CPU."""

import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.session import ANY_BATCH

ON_CPU = "CPUExecutionProvider"
AT_THE_EDGES = {"MemcpyToHost", "MemcpyFromHost"}


class DeviceSession:
    """A model.onnx opened by ONNX Runtime on the scale's device. `tf32` lets float32 products round their factors."""

    batch = ANY_BATCH

    def __init__(self, model, scale, *, tf32=False, cuda_graph=False, strict=False, profile=None):
        """Open a graph. Raises SessionError.

        `strict` keeps the statistics of a LayerNormalization in fp16 in float32 where ONNX Runtime fuses it with a residual.
        `profile` is the prefix of a file for ONNX Runtime's profile.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.x64quantprecision", "1")  # exact products on every CPU
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(profile)
        chosen = {"use_tf32": str(int(tf32)), "enable_cuda_graph": str(int(cuda_graph))}
        if strict:
            chosen |= {"enable_skip_layer_norm_strict_mode": "1"}
        providers = [(scale.provider, chosen), ON_CPU] if scale.on_gpu else [ON_CPU]
        try:
            self.session = onnxruntime.InferenceSession(str(model), options, providers=providers)
        except Exception as error:
            raise SessionError(f"{model}: {scale.provider} cannot open it ({error})") from error
        if self.session.get_providers()[0] != scale.provider:
            raise SessionError(f"{model}: expected {scale.provider}; ONNX Runtime opened it with {self.session.get_providers()}")
        self._device = scale.device
        self._outputs = [output.name for output in self.session.get_outputs()]

    def run(self, inputs):
        """Run the graph; see fnet_runtime.sessions.session.Session."""
        try:
            found = self.session.run(self._outputs, dict(inputs))
        except Exception as error:
            raise SessionError(f"ONNX Runtime failed: {error}") from error
        return dict(zip(self._outputs, found, strict=True))

    def bound(self, inputs, *, in_place=False):
        """Copy inputs to the device once; return what runs the graph on them and leaves the outputs there.

        With `in_place`, the outputs are at the same place in every run, as a CUDA graph needs them. Their shapes are those of the
        graph, with the rows of the inputs.
        """
        binding = self.session.io_binding()
        names = {value.name for value in self.session.get_inputs()}
        kept = [(name, self._on_device(array)) for name, array in inputs.items() if name in names]
        for name, value in kept:
            binding.bind_ortvalue_input(name, value)
        rows = len(next(iter(inputs.values())))
        for output in self.session.get_outputs():
            if in_place:
                kept.append((output.name, self._on_device(np.zeros((rows, *output.shape[1:]), np.float32))))
                binding.bind_ortvalue_output(*kept[-1])
            else:
                binding.bind_output(output.name, self._device, 0)

        def run():
            self.session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        run.kept = kept  # the binding does not own them
        return run

    def _on_device(self, array):
        return onnxruntime.OrtValue.ortvalue_from_numpy(array, self._device, 0)


def fallen_back(model, scale, inputs):
    """Run a graph once under ONNX Runtime's profiler; return the operators that ran on the CPU, and how many of each."""
    with tempfile.TemporaryDirectory() as scratch:
        session = DeviceSession(model, scale, profile=Path(scratch) / "profile")
        session.run(inputs)
        events = json.loads(Path(session.session.end_profiling()).read_text())
    nodes = {}
    for event in events:
        provider = event.get("args", {}).get("provider")
        if event.get("cat") == "Node" and provider is not None:
            nodes[event["name"].removesuffix("_kernel_time")] = (event["args"].get("op_name", "?"), provider)
    on_cpu = [operator for operator, provider in nodes.values() if provider == ON_CPU]
    return {"nodes": len(nodes), "on_cpu": dict(Counter(on_cpu))}
