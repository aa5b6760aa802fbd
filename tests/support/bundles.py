"""Change a bundle as someone would who knows its format."""

import json

from fnet_runtime.bundle.manifest import MANIFEST, file_info


def replaced(bundle, name, data):
    """Change a file and its hash in the manifest: an altered bundle that hashes do not give away."""
    (bundle / name).write_bytes(data)
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"][name] = vars(file_info(bundle / name))
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    return bundle
