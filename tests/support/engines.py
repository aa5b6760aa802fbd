"""How the engines of tests are described."""

BUILD = {
    "gpu": None,
    "workspace_mib": None,
    "optimization_level": None,
    "timing_cache_sha256": None,
    "version_compatible": False,
    "hardware_compatibility": "none",
    "weight_stripped": False,
}
"""How the engines of tests were built: by the library's own choices."""
