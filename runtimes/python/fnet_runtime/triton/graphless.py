"""The parts of a bundle without its graph, which the Python models of an ensemble hold: the tokenizer and what answers need."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fnet_runtime.bundle.config import config_from_file
from fnet_runtime.bundle.manifest import CONFIG, GOLDEN, MANIFEST, AxisProfile, Manifest, file_info
from fnet_runtime.errors import BundleError, SessionError
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.pipeline.tasks import task_of_manifest
from fnet_runtime.sessions.session import Ids, Outputs
from fnet_runtime.tokenizer.tokenizer import Tokenizer


def graphless_files(manifest: Manifest) -> tuple[str, ...]:
    """Return the files of a bundle that `graphless_pipeline` needs."""
    return MANIFEST, CONFIG, manifest.tokenizer.file


class GivenOutputs:
    """A session that does not run: it returns the outputs that another model of the ensemble computed."""

    def __init__(self, outputs: Outputs | None = None) -> None:
        self._outputs = outputs
        rows = max(1, *(len(array) for array in outputs.values())) if outputs else 1
        self.batch = AxisProfile(min=1, opt=rows, max=rows)

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Return the outputs. Raises SessionError if no outputs were given."""
        if self._outputs is None:
            raise SessionError("this part of a bundle has no graph; ask the ensemble")
        return self._outputs


def graphless_pipeline(folder: Path, *, max_text_bytes: int) -> Pipeline:
    """Open the parts of a bundle. Raises BundleError for a file that is missing, altered or of another kind."""
    try:
        manifest = Manifest.from_json((folder / MANIFEST).read_text("utf-8"), name=str(folder / MANIFEST))
        for name in graphless_files(manifest)[1:]:
            if file_info(folder / name) != manifest.files[name]:
                raise BundleError(f"{folder / name}: the file was altered; make the repository again")
        config = config_from_file(folder / CONFIG)
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder}: cannot be read ({error}); make the repository again") from error
    task_of_manifest(manifest, str(folder))
    return Pipeline(
        manifest=manifest,
        tokenizer=Tokenizer.from_file(folder / manifest.tokenizer.file, manifest.tokenizer),
        session=GivenOutputs(),
        golden=folder / GOLDEN,
        problem_type=config.problem_type,
        pooling=config.pooling,
        normalize=config.normalize,
        max_text_bytes=max_text_bytes,
        token_types=config.token_types,
    )


def with_outputs(pipeline: Pipeline, outputs: Outputs) -> Pipeline:
    """Return a pipeline that answers one question, whose outputs the graph has computed."""
    return replace(pipeline, session=GivenOutputs(outputs))
