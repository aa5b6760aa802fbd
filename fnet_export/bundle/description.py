"""What a bundle is, from its own files; every hash is checked on the way, and nothing is run."""

import importlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fnet_runtime.bundle.config import FIRST_TOKEN, GREATEST, MEAN, POOLER, config_from_file
from fnet_runtime.bundle.manifest import ATTENTION_MASK, CONFIG, MODEL, PARITY, Manifest, TensorInfo, manifest_from_folder
from fnet_runtime.errors import BundleError
from fnet_runtime.pipeline.tasks import FEATURE_EXTRACTION
from fnet_runtime.sessions.runtimes import runtimes_from_manifest
from fnet_runtime.tokenizer.encoding import NONE

from fnet_export.bundle.releases import oldest_releases

Importer = Callable[[str], ModuleType]
VECTORS: Mapping[str, str] = {
    POOLER: "pooler_output of the model",
    FIRST_TOKEN: "the vector of the first token",
    MEAN: "the mean of the vectors of all tokens",
    GREATEST: "the greatest numbers of the vectors of all tokens",
}
"""What makes one vector of a text, by the name of the pooling."""
ONNX_DOMAINS = ("", "ai.onnx")
"""The two names of the domain of ONNX's own operators."""


@dataclass(frozen=True, kw_only=True)
class ParityVerdict:
    """What parity.json says: whether the export passed, and the status of each way of running the model, by name.

    `caution` is what the export assumed of the length that the checkpoint was trained at, or None.
    """

    passed: bool
    rows: Mapping[str, str]
    caution: str | None


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What model.onnx states: its operator set, its IR version, and the count of its nodes by type, the most frequent first."""

    opset: int
    ir_version: int
    operators: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Description:
    """Describe a whole, unaltered bundle: its manifest, and facts from its other files.

    `pooling` says in words what makes one vector of a text, and is None for other tasks than feature-extraction. `parity` is None
    without parity.json, and `graph` without the library onnx.
    """

    manifest: Manifest
    pooling: str | None
    parity: ParityVerdict | None
    graph: Graph | None

    @property
    def operators(self) -> Mapping[str, int] | None:
        """Return the count of the graph's nodes by type, or None without the library onnx."""
        return None if self.graph is None else self.graph.operators

    @property
    def oldest_releases(self) -> Mapping[str, str | None] | None:
        """Return the oldest release of each engine that opens the graph, or None without the library onnx."""
        if self.graph is None:
            return None
        return oldest_releases(self.graph.opset, self.graph.ir_version, self.manifest.precision)

    def values(self) -> dict[str, Any]:
        """Return JSON's own types."""
        return {
            "hashes": "all match",
            "runtimes": list(runtimes_from_manifest(self.manifest)),
            "padding": padding_from_manifest(self.manifest),
            "pooling": self.pooling,
            "parity": self.parity and asdict(self.parity),
            "opset": self.graph and self.graph.opset,
            "ir_version": self.graph and self.graph.ir_version,
            "oldest_releases": self.oldest_releases,
            "operators": self.operators,
            "manifest": json.loads(self.manifest.to_json()),
        }


def description_from_bundle(folder: Path, *, importer: Importer = importlib.import_module) -> Description:
    """Check and read a bundle. Raises BundleError, which names the file, if a file is missing, altered or of another kind."""
    manifest = manifest_from_folder(folder)
    return Description(
        manifest=manifest,
        pooling=pooling_from_bundle(folder, manifest.task),
        parity=verdict_from_bundle(folder),
        graph=_graph(folder / MODEL, importer),
    )


def pooling_from_bundle(folder: Path, task: str) -> str | None:
    """Say in words what makes one vector of a text, or return None for another task. Raises BundleError for a bad config.json."""
    if task != FEATURE_EXTRACTION.name:
        return None
    config = config_from_file(folder / CONFIG)
    return f"{config.pooling}: {VECTORS[config.pooling]}{', divided by its length' if config.normalize else ''}"


def padding_from_manifest(manifest: Manifest) -> str:
    """Say in words what the model makes of the end of a text."""
    length, pad, multiple = manifest.sequence_length, manifest.pad_token_id, manifest.pad_to_multiple_of
    if manifest.padding == NONE:
        filled = f", filled with id {pad} to a multiple of {multiple} tokens" if multiple > 1 else ""
        return f"every input has its own length, of at most {length} tokens{filled}; filling it up otherwise changes the answers"
    contract = f"every input is cut or filled with id {pad} to exactly {length} tokens"
    if ATTENTION_MASK in {tensor.name for tensor in manifest.inputs}:
        return f"{contract}; {ATTENTION_MASK} hides the filling from attention alone: another length or id, other answers"
    return f"{contract}; no mask hides the filling: another length or id, other answers"


def verdict_from_bundle(folder: Path) -> ParityVerdict | None:
    """Read parity.json of a bundle, or return None without it. Raises BundleError if it is damaged."""
    path = folder / PARITY
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text("utf-8"))
        rows = {row["name"]: row["status"] for row in values["rows"]}
        return ParityVerdict(passed=values["passed"], rows=rows, caution=values["trained_length"]["caution"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{path}: not a bundle's parity report ({error!r}); copy the whole bundle again") from error


def _graph(path: Path, importer: Importer) -> Graph | None:
    """Read a graph without the weights next to it, or return None without the library onnx."""
    try:
        onnx: Any = importer("onnx")
    except ImportError:
        return None
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's errors have no common base
        raise BundleError(f"{path}: onnx {onnx.__version__} cannot read it ({error}); copy the whole bundle again") from error
    opset = max((imported.version for imported in model.opset_import if imported.domain in ONNX_DOMAINS), default=0)
    operators = dict(Counter(node.op_type for node in model.graph.node).most_common())
    return Graph(opset=opset, ir_version=model.ir_version, operators=operators)


def tensor_shown(tensor: TensorInfo) -> str:
    """Return a tensor as `input_ids int64[batch_size, 512]`."""
    return f"{tensor.name} {tensor.dtype}[{', '.join(map(str, tensor.axes))}]"
