"""Open a bundle: check every file, then read the tokenizer and open the engine."""

import copyreg
from functools import partial
from pathlib import Path
from typing import Any

from fnet_runtime.bundle.config import config_from_file
from fnet_runtime.bundle.manifest import CONFIG, GOLDEN, manifest_from_folder
from fnet_runtime.errors import BundleError, OptionError
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.pipeline.tasks import task_of_manifest
from fnet_runtime.sessions.bundle_session import BundleSession
from fnet_runtime.sessions.providers import CPU
from fnet_runtime.sessions.runtimes import AUTO, OpenOptions
from fnet_runtime.sessions.trt_session import CONTEXTS
from fnet_runtime.tokenizer.tokenizer import MAX_TEXT_BYTES, Tokenizer


def load(
    bundle: Path | str,
    *,
    runtime: str = AUTO,
    threads: int | None = None,
    max_text_bytes: int = MAX_TEXT_BYTES,
    rebuild: bool = False,
    provider: str = CPU,
    allow_partial: bool = False,
    device: int = 0,
    contexts: int = CONTEXTS,
    cuda_graph: bool = False,
) -> Pipeline:
    """Open a bundle after checking every file of it.

    `runtime` is one of RUNTIME_CHOICES. `auto` takes the bundle's own engine, or ONNX Runtime when the bundle has no engine.
    An engine that cannot run here is an error; `load` never replaces it. `threads` limits the cores that ONNX Runtime and
    OpenVINO use. `max_text_bytes` limits the length of a text. `rebuild` opens a TensorRT engine that is built from the bundle's
    graph for this GPU and kept in a cache (docs/engines.md). `provider` is one of PROVIDERS, and opens model.onnx with ONNX
    Runtime on a GPU (docs/gpu.md). A provider must take every node of the graph, unless `allow_partial` leaves the others to the
    CPU. `device` is the number of the GPU that TensorRT or a provider uses. `contexts` is how many callers TensorRT runs at once,
    and `cuda_graph` captures the run of each shape as a CUDA graph (docs/threads.md). A runtime without these options refuses
    them.
    The pipeline pickles as its absolute path and its options, so another process opens the bundle itself.
    Raises BundleError for a folder that is not a whole, unaltered bundle, and OptionError for a bad option. Raises SessionError
    when the engine cannot be opened or a library is missing.
    """
    if type(max_text_bytes) is not int or max_text_bytes < 1:
        raise OptionError(f"max_text_bytes: expected an integer from 1, found {max_text_bytes!r}")
    options = OpenOptions(
        runtime=runtime,
        threads=threads,
        rebuild=rebuild,
        provider=provider,
        allow_partial=allow_partial,
        device=device,
        contexts=contexts,
        cuda_graph=cuda_graph,
    )
    folder = Path(bundle)
    manifest = manifest_from_folder(folder)
    config = config_from_file(folder / CONFIG)
    task_of_manifest(manifest, str(folder))
    vocabulary = folder / manifest.tokenizer.file
    tokenizer = Tokenizer.from_file(vocabulary, manifest.tokenizer)
    if tokenizer.vocab_size > config.vocab_size or tokenizer.pad_id != manifest.pad_token_id:
        raise BundleError(
            f"{vocabulary}: {tokenizer.vocab_size} pieces with <pad> at {tokenizer.pad_id}; the model has "
            f"{config.vocab_size} embeddings and pads with {manifest.pad_token_id}"
        )
    return Pipeline(
        manifest=manifest,
        tokenizer=tokenizer,
        session=BundleSession(folder, manifest, options),
        golden=folder / GOLDEN,
        problem_type=config.problem_type,
        pooling=config.pooling,
        normalize=config.normalize,
        max_text_bytes=max_text_bytes,
        token_types=config.token_types,
    )


def _reduced(pipeline: Pipeline) -> str | tuple[Any, ...]:
    """Pickle a pipeline of `load` as a call of `load`. A pipeline from parts pickles if its parts do."""
    session = pipeline.session
    if not isinstance(session, BundleSession):
        return pipeline.__reduce_ex__(2)
    again = partial(load, session.folder.absolute(), max_text_bytes=pipeline.max_text_bytes, **vars(session.options))
    return again, ()


copyreg.pickle(Pipeline, _reduced)  # here and not in Pipeline, which does not know `load`
