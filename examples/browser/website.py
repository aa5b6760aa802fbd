"""The folder of the page: its own files, two libraries from npm, and the files of bundles that the page reads."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fnet_runtime.bundle.manifest import CONFIG, MANIFEST, MODEL, MODEL_DATA, manifest_from_folder
from fnet_runtime.tokenizer.tokenizer import SPIECE

HERE = Path(__file__).parent
PACKAGE, PACKAGE_LOCK = "package.json", "package-lock.json"
EMAILS = HERE.parent / "emails"
READ_BY_PAGE = (CONFIG, SPIECE, MODEL, MODEL_DATA)
ENGINE = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""The files of onnxruntime-web that run a graph on the CPU: a module, and the WebAssembly that it starts."""
TOKENIZER = """\
/* @agnai/sentencepiece-js, Apache-2.0, as a module. Its `load` takes the bytes of a model in place of the name of a file. */
const library = {{}};
const files = {{ readFileSync: (bytes) => bytes }};
const builtIn = (name) => (name === "fs" ? files : globalThis.process.getBuiltinModule(name));
(function (exports, require, __filename) {{
{source}
}})(library, builtIn, "/sentencepiece.js");
export const {{ SentencePieceProcessor }} = library;
"""


class WebsiteError(Exception):
    """A website that cannot be made."""


def website_from_bundles(bundles: Mapping[str, Path], libraries: Path, folder: Path) -> None:
    """Make the folder of the page in place of the last one. `bundles` names the folder of each bundle as the page shall call it.

    `libraries` is the node_modules of `libraries_from_npm`. Raises BundleError for a folder that is not a whole bundle.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(HERE / "page", partial)
    shutil.copytree(EMAILS, partial / "emails")
    engine = partial / "vendor" / "onnxruntime"
    engine.mkdir(parents=True)
    for name in ENGINE:
        shutil.copy(libraries / "onnxruntime-web" / "dist" / name, engine)
    source = (libraries / "@agnai" / "sentencepiece-js" / "dist" / "index.js").read_text("utf-8")
    (engine.parent / "sentencepiece.js").write_text(TOKENIZER.format(source=source), "utf-8")
    for name, bundle in bundles.items():
        _copy_bundle(bundle, partial / "bundles" / name)
    (partial / "bundles" / "index.json").write_text(json.dumps(list(bundles)))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def libraries_from_npm(folder: Path) -> Path:
    """Install the libraries of package-lock.json into `folder` unless they are there, and return their node_modules.

    No script of a package runs, and npm checks the hash of every package. Raises WebsiteError if npm is missing or fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    modules, lock = folder / "node_modules", folder / PACKAGE_LOCK
    installed = modules / ".package-lock.json"  # npm writes it last
    if installed.is_file() and lock.is_file() and lock.read_bytes() == (HERE / PACKAGE_LOCK).read_bytes():
        return modules
    for name in (PACKAGE, PACKAGE_LOCK):
        shutil.copy(HERE / name, folder)
    if shutil.which("npm") is None:
        raise WebsiteError("npm is not installed; install Node.js 18 or newer with npm, and run this command again")
    words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WebsiteError(f"{' '.join(words)} failed in {folder}; it needs the registry of npm:\n{done.stderr.strip()}")
    return modules


def _copy_bundle(bundle: Path, folder: Path) -> None:
    manifest = manifest_from_folder(bundle)
    folder.mkdir(parents=True)
    for name in (MANIFEST, *(name for name in READ_BY_PAGE if name in manifest.files)):
        shutil.copy(bundle / name, folder)
