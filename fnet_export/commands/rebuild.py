"""fnet-export rebuild, on the command line; docs/engines.md."""

import time
from pathlib import Path

import click
from fnet_runtime.command.exit_codes import list_of_exit_codes

from fnet_export.bundle.rebuild import rebuilt_from_bundle
from fnet_export.commands.options import bundle_argument, output_options
from fnet_export.commands.shared import console_of_result, print_json, print_lines, progress_shown


@click.command(context_settings={"show_default": True}, epilog=list_of_exit_codes({}))
@bundle_argument
@output_options
def rebuild(bundle: Path, as_json: bool, quiet: bool) -> None:
    """Build the TensorRT engine of BUNDLE again, for the GPU and the library of this host, and keep it in the user's cache.

    fnet-run --rebuild opens it from there. Needs no torch.
    """
    started = time.perf_counter()
    with progress_shown(quiet=quiet) as progress:
        rebuilt = rebuilt_from_bundle(bundle, progress)
    seconds = time.perf_counter() - started
    info, gpu = rebuilt.info, rebuilt.gpu
    if as_json:
        values = {"library": info.library, "version": info.version, "gpu": gpu.name, "compute_capability": gpu.compute_capability}
        print_json({"engine": str(rebuilt.file), "built": rebuilt.built, "seconds": seconds} | values)
        return
    how = f"built in {seconds:.1f} s" if rebuilt.built else "was in the cache"
    line = f"{rebuilt.file}: {how}, by {info.library} {info.version} for {gpu.name} (compute capability {gpu.compute_capability})"
    print_lines(console_of_result(as_json=as_json, quiet=quiet), [line])
