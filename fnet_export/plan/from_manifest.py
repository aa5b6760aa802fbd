"""The options that export a bundle again, from its manifest."""

from collections.abc import Collection
from pathlib import Path

import onnx_ir as ir
from fnet_runtime.bundle.manifest import BATCH, SEQUENCE, Manifest
from fnet_runtime.engine.options import options_from_engine

from fnet_core.checkpoint.open import BUILT_IN_ID
from fnet_core.transform import TRANSFORMS
from fnet_export.parity.bisect.rebuilt import task_of_manifest
from fnet_export.plan.options import EngineOptions, ExportOptions, GraphOptions, ModelOptions, OutputOptions
from fnet_export.plan.transform_choice import AUTO


def options_from_manifest(
    manifest: Manifest, shipped: ir.Model, *, output: Path, model: str | None, keep: Collection[str]
) -> ExportOptions:
    """Return the options that export a bundle again to `output`, with the nodes of `keep` in float32.

    `shipped` is the bundle's graph, `model` where its checkpoint is now, None for where it was.
    """
    source, engine = manifest.source, manifest.engine
    return ExportOptions(
        model=ModelOptions(
            task=manifest.task,
            checkpoint=model or (None if source.id == BUILT_IN_ID else source.id),
            revision=source.revision if model is None else None,
            tokenizer=manifest.tokenizer.flavour,
            sequence_length=manifest.sequence_length,
            padding=manifest.padding,
            pad_to_multiple_of=manifest.pad_to_multiple_of,
            accept_drift=True,
            predict_positions=task_of_manifest(manifest).predict_positions,
            random_head=source.random_head,
        ),
        graph=GraphOptions(
            transform=manifest.transform if manifest.transform in TRANSFORMS else AUTO,
            opset=shipped.graph.opset_imports[""],
            precision=manifest.precision,
            keep_float32=tuple(keep),
        ),
        engine=EngineOptions(
            target=manifest.target,
            batch_profiles=() if engine is None else engine.ranges(BATCH),
            length_profiles=() if engine is None else engine.ranges(SEQUENCE),
            build=options_from_engine(engine),
        ),
        output=OutputOptions(folder=output),
    )
