"""The manifest of a planned bundle: what it is, of what it was made, and by which versions."""

from collections.abc import Mapping

from fnet_runtime.bundle.manifest import FORMAT_VERSION, EngineInfo, FileInfo, Manifest, Quantization, Source

from fnet_export.base.environment import version_of
from fnet_export.graph.tensors import tensors_from_task
from fnet_export.plan.plan import Plan

TOOLS = ("fnet-export", "torch", "onnx", "onnxruntime", "onnxscript", "onnxsim", "sentencepiece", "tokenizers", "numpy")


def manifest_from_plan(
    plan: Plan, *, engine: EngineInfo | None = None, files: Mapping[str, FileInfo] | None = None, kept: tuple[str, ...] = ()
) -> Manifest:
    """Describe a bundle; `kept` are the modules that stay in float32. Without files it is of a bundle not yet written."""
    trained = plan.trained
    config, source = trained.config, trained.checkpoint.source
    inputs, outputs = tensors_from_task(trained.task, config, trained.padding)
    return Manifest(
        format_version=FORMAT_VERSION,
        task=trained.task.name,
        target=plan.options.engine.target,
        labels=config.labels if trained.task.labelled else (),
        inputs=inputs,
        outputs=outputs,
        sequence_length=trained.sequence_length,
        padding=trained.padding.contract,
        pad_to_multiple_of=trained.padding.multiple_of,
        pad_token_id=config.pad_token_id,
        tokenizer=plan.tokenizer.tokenizer.options,
        transform=plan.transform.name,
        transform_reason=plan.transform.reason,
        precision=plan.options.graph.precision,
        quantization=_quantization(plan, kept),
        source=Source(id=source.id, revision=source.revision, sha256=dict(source.sha256), random_head=trained.random_head),
        tools={name: version_of(name) or "unknown" for name in TOOLS},
        engine=engine,
        files=files or {},
    )


def _quantization(plan: Plan, kept: tuple[str, ...]) -> Quantization | None:
    data = plan.calibration
    if data is None:
        return None
    method = plan.options.calibration.method
    return Quantization(method=method, data=data.name, sha256=data.sha256, texts=len(data.texts), kept=kept)
