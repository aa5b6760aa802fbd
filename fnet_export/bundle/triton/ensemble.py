"""The form `ensemble`: a tokenizer, the graph in a backend of the server, and answers, as one model of three steps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fnet_runtime.bundle.golden import golden_from_file
from fnet_runtime.bundle.manifest import (
    BATCH,
    BF16,
    ENGINE,
    GOLDEN,
    INT8,
    IR,
    IR_DATA,
    MANIFEST,
    MODEL,
    MODEL_DATA,
    Manifest,
    TensorInfo,
    file_info,
)
from fnet_runtime.pipeline.tasks import MULTIPLE_CHOICE, QUESTION_ANSWERING
from fnet_runtime.sessions.runtimes import runtime_from_name
from fnet_runtime.tokenizer.encoding import NONE
from fnet_runtime.triton.graphless import graphless_files
from fnet_runtime.triton.server import BUNDLE, MAX_ROWS
from fnet_runtime.triton.tensors import ANY, FP32, INPUTS, INT64, QUESTION, TritonTensor, outputs_of_manifest

from fnet_export.base.errors import OptionError
from fnet_export.bundle.triton.config import (
    CONFIG_FILE,
    LATEST,
    batching_fields,
    config_from_fields,
    input_fields,
    instance_fields,
    output_fields,
    parameter_fields,
)
from fnet_export.bundle.triton.folders import MODEL_FILE, Copy, ModelFolder, copies_from_bundle
from fnet_export.bundle.triton.options import ENSEMBLE, ServingOptions
from fnet_export.bundle.triton.pbtxt import Symbol, Value, map_from_values
from fnet_export.bundle.triton.whole import label_files, model_py

TOKENS, GRAPH, ANSWERS = "tokens", "graph", "answers"
"""The steps; the name of a model is `NAME_STEP`."""
TYPES = {"int64": INT64, "float32": FP32}
WARM_UP = "warmup"
"""The folder in which Triton looks for the data of a warm-up."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A backend of the server that runs graphs: its name or platform, and the files that it opens."""

    fields: Mapping[str, Value]
    files: tuple[str, ...]


BACKENDS: Mapping[str, Backend] = {
    "onnxruntime": Backend(fields={"backend": "onnxruntime", "default_model_filename": MODEL}, files=(MODEL, MODEL_DATA)),
    "openvino": Backend(fields={"backend": "openvino", "default_model_filename": IR}, files=(IR, IR_DATA)),
    "tensorrt": Backend(fields={"platform": "tensorrt_plan", "default_model_filename": ENGINE}, files=(ENGINE,)),
}
"""By the name of a runtime."""


def ensemble_folders(
    name: str, bundle: Path, manifest: Manifest, *, version: int, serving: ServingOptions
) -> tuple[ModelFolder, ...]:
    """Return the folders of an ensemble: the ensemble itself first, then its steps.

    Raises OptionError for a bundle whose graph the server's backends cannot run as fnet_runtime does.
    """
    runtime = runtime_from_name(serving.runtime, manifest, bundle)
    _check(bundle, manifest, runtime, serving)
    parts = _Parts(name=name, bundle=bundle, manifest=manifest, version=version, serving=serving, runtime=runtime)
    return parts.ensemble(), parts.tokens(), parts.graph(), parts.answers()


def _check(bundle: Path, manifest: Manifest, runtime: str, serving: ServingOptions) -> None:
    whole = "use --form whole"
    if runtime not in BACKENDS:
        raise OptionError(f"{bundle}: Triton has no backend for {runtime}, which is not TensorRT; {whole}")
    if runtime == "onnxruntime" and manifest.precision in (INT8, BF16):
        why = "multiply int8 exactly on every processor" if manifest.precision == INT8 else "multiply bf16 on CPUs"
        raise OptionError(f"{bundle}: Triton's ONNX Runtime backend cannot {why}; {whole}")
    if manifest.padding == NONE and manifest.task in (QUESTION_ANSWERING.name, MULTIPLE_CHOICE.name):
        raise OptionError(
            f"{bundle}: does not pad texts, so the rows of one request of {manifest.task} have different lengths, and an ensemble "
            f"passes them in one tensor; {whole}"
        )
    profile = manifest.engine.whole_range(BATCH) if manifest.engine is not None and runtime == "tensorrt" else None
    if profile is not None and (profile.min > 1 or profile.max < serving.max_batch_size):
        raise OptionError(
            f"{bundle}: its engine takes {profile.min} to {profile.max} rows, and Triton sends 1 to {serving.max_batch_size}; set "
            f"--max-batch-size to {profile.max} at most, and export with a smallest batch of 1"
        )


def triton_tensors(tensors: Sequence[TensorInfo], *, rows: bool) -> list[TritonTensor]:
    """Return the tensors of a graph as Triton has them, with or without the axis of the rows."""
    made = []
    for tensor in tensors:
        axes = tuple(ANY if isinstance(axis, str) else axis for axis in tensor.axes)
        made.append(TritonTensor(name=tensor.name, data_type=TYPES[tensor.dtype], dims=axes if rows else axes[1:]))
    return made


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """The models of one ensemble. The outer steps take one text, and their tensors have the axis of the rows of that text."""

    name: str
    bundle: Path
    manifest: Manifest
    version: int
    serving: ServingOptions
    runtime: str

    def ensemble(self) -> ModelFolder:
        texts, outputs = INPUTS[self.manifest.task], outputs_of_manifest(self.manifest)
        between = [tensor.name for tensor in self.manifest.inputs], [tensor.name for tensor in self.manifest.outputs]
        steps: list[Value] = [
            self._step(TOKENS, [tensor.name for tensor in texts], [*between[0], QUESTION.name]),
            self._step(GRAPH, between[0], between[1]),
            self._step(ANSWERS, [*between[1], QUESTION.name], [tensor.name for tensor in outputs]),
        ]
        fields: dict[str, Value] = {
            "name": self.name,
            "platform": "ensemble",
            "max_batch_size": 0,
            "version_policy": LATEST,
            "input": input_fields([replace(tensor, ragged=False) for tensor in texts]),
            "output": output_fields(outputs),
            "ensemble_scheduling": {"step": steps},
        }
        readme = "The server reads the steps of this ensemble from config.pbtxt. A version of an ensemble has no other files.\n"
        files = {f"{self.version}/README": readme, **label_files(self.bundle, self.manifest)}
        return self._folder(self.name, fields, files, {})

    def _step(self, step: str, inputs: Sequence[str], outputs: Sequence[str]) -> Value:
        return {
            "model_name": f"{self.name}_{step}",
            "model_version": ANY,
            "input_map": map_from_values({name: name for name in inputs}),
            "output_map": map_from_values({name: name for name in outputs}),
        }

    def tokens(self) -> ModelFolder:
        texts = [replace(tensor, ragged=False) for tensor in INPUTS[self.manifest.task]]
        made = [*triton_tensors(self.manifest.inputs, rows=True), QUESTION]
        return self._python(TOKENS, "fnet_runtime.triton.tokens", "TokensModel", texts, made)

    def answers(self) -> ModelFolder:
        taken = [*triton_tensors(self.manifest.outputs, rows=True), QUESTION]
        outputs = outputs_of_manifest(self.manifest)
        folder = self._python(ANSWERS, "fnet_runtime.triton.answers", "AnswersModel", taken, outputs)
        return replace(folder, files={**folder.files, **label_files(self.bundle, self.manifest)})

    def _python(
        self, step: str, module: str, name: str, inputs: Sequence[TritonTensor], outputs: Sequence[TritonTensor]
    ) -> ModelFolder:
        fields: dict[str, Value] = {
            "name": f"{self.name}_{step}",
            "backend": "python",
            "max_batch_size": 0,
            "version_policy": LATEST,
            "input": input_fields(inputs),
            "output": output_fields(outputs),
            "instance_group": [instance_fields(self.serving, runtime="onnxruntime")],
            "parameters": parameter_fields(self.serving, {MAX_ROWS: str(self.serving.max_batch_size)}),
        }
        files = {f"{self.version}/{MODEL_FILE}": model_py(module, name, self.serving)}
        return self._folder(f"{self.name}_{step}", fields, files, self._copies(graphless_files(self.manifest), f"/{BUNDLE}"))

    def graph(self) -> ModelFolder:
        backend, engine = BACKENDS[self.runtime], self.manifest.engine
        instances = instance_fields(self.serving, runtime=self.runtime)
        if engine is not None and self.runtime == "tensorrt" and len(engine.profiles) > 1:
            instances["profile"] = [str(number) for number in range(len(engine.profiles))]
        inputs = triton_tensors(self.manifest.inputs, rows=False)
        first = golden_from_file(self.bundle / GOLDEN).cases[0].inputs
        samples: dict[str, Value] = {}
        files: dict[str, bytes] = {}
        for tensor in inputs:
            row = first[tensor.name][0]
            samples[tensor.name] = {"data_type": Symbol(INT64), "dims": list(row.shape), "input_data_file": tensor.name}
            files[f"{WARM_UP}/{tensor.name}"] = row.astype("<i8").tobytes()
        fields: dict[str, Value] = {
            "name": f"{self.name}_{GRAPH}",
            **backend.fields,
            "max_batch_size": self.serving.max_batch_size,
            "version_policy": LATEST,
            "input": input_fields(inputs),
            "output": output_fields(triton_tensors(self.manifest.outputs, rows=False)),
            "instance_group": [instances],
            "dynamic_batching": batching_fields(self.serving),
            "model_warmup": [{"name": "golden", "batch_size": 1, "inputs": map_from_values(samples)}],
        }
        if self.runtime == "onnxruntime" and self.serving.threads is not None:
            fields["parameters"] = map_from_values({"intra_op_thread_count": {"string_value": str(self.serving.threads)}})
        present = [file for file in backend.files if file in self.manifest.files]
        return self._folder(f"{self.name}_{GRAPH}", fields, files, self._copies(present))

    def _copies(self, names: Iterable[str], place: str = "") -> dict[str, Copy]:
        return copies_from_bundle(self.bundle, self.manifest, names, within=f"{self.version}{place}")

    def _folder(
        self, name: str, fields: Mapping[str, Value], files: Mapping[str, str | bytes], copies: Mapping[str, Copy]
    ) -> ModelFolder:
        return ModelFolder(
            name=name,
            form=ENSEMBLE,
            version=self.version,
            bundle=file_info(self.bundle / MANIFEST).sha256,
            files={CONFIG_FILE: config_from_fields(fields), **files},
            copies=copies,
        )
