"""Make the folder of the page, and serve it on this computer until Ctrl-C.

    python examples/browser/serve_page.py [BUNDLE ...] [--port N] [--host ADDRESS] [--build-only] [--folder FOLDER]

Without a BUNDLE, the built-in model is exported in fp32 and in int8. Everything that is made or fetched is in FOLDER.
"""

import argparse
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fnet_runtime.errors import FNetRuntimeError
from website import WebsiteError, libraries_from_npm, website_from_bundles

from fnet_export.base.errors import FNetExportError

BUILD = Path(__file__).parents[2] / "build" / "browser"
PRECISIONS = ("fp32", "int8")
IDLE_SECONDS = 30
"""How long a connection may send nothing."""


class Handler(SimpleHTTPRequestHandler):
    """Sends the files of one folder. It reads no body, and lists no folder."""

    timeout = IDLE_SECONDS
    extensions_map = {  # noqa: RUF012  the base class has it too
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self):
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def list_directory(self, path):
        self.send_error(404)

    def log_message(self, format, *args):
        pass


def server_of_folder(folder: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server of the files of a folder. Raises OSError if it cannot listen there."""

    class OfFolder(Handler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(folder), **kwargs)

    return ThreadingHTTPServer((host, port), OfFolder)


def exported(folder: Path) -> dict[str, Path]:
    """Export the built-in model in each precision, in place of earlier bundles."""
    # torch takes seconds to import, and a page of existing bundles does not need it
    from fnet_export.base.progress import Lines
    from fnet_export.plan.options import EngineOptions, ExportOptions, GraphOptions, ModelOptions, OutputOptions
    from fnet_export.plan.pipeline import bundle_from_plan
    from fnet_export.plan.plan import plan_from_options

    bundles = {}
    for precision in PRECISIONS:
        options = ExportOptions(
            model=ModelOptions(task="sequence-classification"),
            graph=GraphOptions(precision=precision),
            engine=EngineOptions(target="onnx"),
            output=OutputOptions(folder=folder / precision, force=True),
        )
        bundles[precision] = bundle_from_plan(plan_from_options(options), Lines()).folder
    return bundles


def named(folders: list[Path]) -> dict[str, Path]:
    """Name bundles by their folders. Raises WebsiteError if two have one name."""
    bundles = {folder.resolve().name: folder for folder in folders}
    if len(bundles) < len(folders):
        raise WebsiteError(f"expected bundles in folders of different names, found {', '.join(map(str, folders))}")
    return bundles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", type=Path, metavar="BUNDLE", help="folders that fnet-export wrote")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1", help="127.0.0.1 serves this computer only")
    parser.add_argument("--build-only", action="store_true", help="make the folder, and do not serve it")
    parser.add_argument("--folder", type=Path, default=BUILD, help="for what is made or fetched (default: build/browser)")
    options = parser.parse_args()
    site = options.folder / "site"
    try:
        website_from_bundles(named(options.bundles) or exported(options.folder), libraries_from_npm(options.folder), site)
    except (WebsiteError, FNetRuntimeError, FNetExportError) as error:
        sys.exit(f"serve_page.py: {error}")
    if options.build_only:
        print(site)
        return
    try:
        server = server_of_folder(site, options.host, options.port)
    except OSError as error:
        sys.exit(f"serve_page.py: {options.host}:{options.port}: cannot listen there ({error.strerror}); choose another --port")
    print(f"Open http://{options.host}:{server.server_port}/ in a browser. Ctrl-C stops.", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
