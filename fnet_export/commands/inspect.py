"""Run fnet-export inspect (docs/verify.md)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
from fnet_runtime.bundle.manifest import MODEL, NO_COMPATIBILITY, EngineBuild, Manifest
from fnet_runtime.command.answer_text import escaped
from fnet_runtime.command.exit_codes import list_of_exit_codes
from fnet_runtime.sessions.runtimes import runtimes_from_manifest
from fnet_runtime.tokenizer.tokenizer import SLOW, TokenizerOptions
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from fnet_export.bundle.description import Description, description_from_bundle, padding_from_manifest, tensor_shown
from fnet_export.commands.options import bundle_argument, output_options
from fnet_export.commands.shared import console_of_result, print_json
from fnet_export.parity.report.wording import note_of_random_head

HASH_SHOWN = 12
"""Digits of a hash in the table; --json has them all."""


@click.command(context_settings={"show_default": True}, epilog=list_of_exit_codes({}))
@bundle_argument
@output_options
def inspect(bundle: Path, as_json: bool, quiet: bool) -> None:
    """Show what BUNDLE is: model, tensors, tokenizer, files. The command checks every hash. It runs nothing and needs no torch."""
    description = description_from_bundle(bundle)
    if as_json:
        print_json({"bundle": str(bundle)} | description.values())
    console_of_result(as_json=as_json, quiet=quiet).print(table_from_description(description))


def table_from_description(description: Description) -> Table:
    """Return a table of two columns: what, and what it is, where characters that do not print are escaped as fnet-run does it."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _entries(description):
        table.add_row(name, escape(escaped(text)))
    return table


def _entries(description: Description) -> Iterator[tuple[str, str]]:
    manifest = description.manifest
    yield "task", manifest.task
    if manifest.labels:
        yield "labels", ", ".join(manifest.labels)
    yield from _source(manifest)
    yield "precision", manifest.precision
    yield from _quantization(manifest)
    yield "transform", f"{manifest.transform}: {manifest.transform_reason}"
    yield "target", f"{manifest.target}; opens with {', '.join(runtimes_from_manifest(manifest))}"
    yield "engine", _engine(manifest)
    for kind, tensors in (("input", manifest.inputs), ("output", manifest.outputs)):
        for tensor in tensors:
            yield kind, tensor_shown(tensor)
    yield "padding", padding_from_manifest(manifest)
    if description.pooling is not None:
        yield "pooling", description.pooling
    if description.parity is not None and description.parity.caution is not None:
        yield "note", description.parity.caution
    yield "tokenizer", _tokenizer(manifest.tokenizer)
    yield from _graph(description)
    yield "operators", _operators(description)
    yield "parity", _parity(description)
    yield "tools", ", ".join(f"{name} {version}" for name, version in manifest.tools.items())
    for name, info in manifest.files.items():
        yield "file", f"{name}  {decimal(info.size_bytes)}  sha256 {info.sha256[:HASH_SHOWN]} matches"


def _source(manifest: Manifest) -> Iterator[tuple[str, str]]:
    source = manifest.source
    revision = f", revision {source.revision}" if source.revision else ""
    yield "source", f"{source.id}{revision}{f'; {note_of_random_head(manifest.task)}' if source.random_head else ''}"
    for name, digest in source.sha256.items():
        yield "weights", f"{name}  sha256 {digest[:HASH_SHOWN]}"


def _quantization(manifest: Manifest) -> Iterator[tuple[str, str]]:
    quantization = manifest.quantization
    if quantization is not None:
        yield (
            "quantization",
            f"{quantization.method} ranges of {quantization.texts} texts of {quantization.data}, "
            f"sha256 {quantization.sha256[:HASH_SHOWN]}",
        )
        yield "kept in fp32", ", ".join(quantization.kept) or "nothing"


def _engine(manifest: Manifest) -> str:
    engine = manifest.engine
    if engine is None:
        return "none: ONNX Runtime runs model.onnx"
    parts = [f"{engine.file}, {engine.library} {engine.version}"]
    if engine.compute_capabilities:
        parts.append(f"compute capabilities {', '.join(engine.compute_capabilities)}")
    if engine.build is not None:
        parts += _build(engine.build)
    axes = dict.fromkeys(axis for profile in engine.profiles for axis in profile)
    parts += [f"{axis} {p.min} to {p.max}, tuned for {p.opt}" for axis in axes for p in engine.ranges(axis)]
    return "; ".join(parts)


def _build(build: EngineBuild) -> Iterator[str]:
    """Say how an engine was built, where that is not the library's own choice."""
    if build.gpu is not None:
        yield f"built on {build.gpu}"
    if build.workspace_mib is not None:
        yield f"workspace of at most {build.workspace_mib} MiB"
    if build.optimization_level is not None:
        yield f"optimization level {build.optimization_level}"
    if build.timing_cache_sha256 is not None:
        yield f"timing cache sha256 {build.timing_cache_sha256[:HASH_SHOWN]}"
    if build.version_compatible:
        yield "runs with newer versions"
    if build.hardware_compatibility != NO_COMPATIBILITY:
        yield f"hardware compatibility {build.hardware_compatibility}"
    if build.weight_stripped:
        yield f"weights come from {MODEL}"


def _tokenizer(options: TokenizerOptions) -> str:
    """The flavour, and the rules that only one of them has."""
    rules = ", ".join(f"{name} {str(value).lower()}" for name, value in asdict(options).items() if name != "flavour")
    return f"{options.flavour}, from {options.file}{f'; {rules}' if options.flavour == SLOW else ''}"


def _graph(description: Description) -> Iterator[tuple[str, str]]:
    """Give the operator set, and for each engine the oldest release that opens the graph."""
    graph, releases = description.graph, description.oldest_releases
    if graph is not None and releases is not None:
        yield "graph", f"operator set {graph.opset}, IR version {graph.ir_version}"
        shown = (f"{engine} {version}" if version else f"{engine}: none" for engine, version in releases.items())
        yield "oldest release tried", ", ".join(shown)


def _operators(description: Description) -> str:
    if description.operators is None:
        return "not counted: the library onnx is not installed; pip install onnx"
    counts = ", ".join(f"{count} {name}" for name, count in description.operators.items())
    return f"{sum(description.operators.values())} in model.onnx: {counts}"


def _parity(description: Description) -> str:
    if description.parity is None:
        return "no parity.json here; fnet-export verify checks the bundle on this host"
    verdict = "passed" if description.parity.passed else "FAILED"
    statuses = Counter(description.parity.rows.values())
    counts = ", ".join(f"{count} {status}" for status, count in statuses.items())
    return f"{verdict} on the exporting host; of {statuses.total()} rows {counts}"
