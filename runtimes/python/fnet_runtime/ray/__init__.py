"""Answer many texts on a Ray cluster, or serve a bundle from it. The extra `ray` installs what this package needs.

import fnet_runtime.ray
fnet_runtime.ray.answered(dataset, "bundle").write_parquet("answers")
"""

import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that this process starts sends no usage data

from fnet_runtime.ray.batches import Answerer, BatchOptions, answered
from fnet_runtime.ray.cluster import Actors, check_cluster
from fnet_runtime.ray.service import BundleService, ServiceOptions, application

__all__ = [
    "Actors",
    "Answerer",
    "BatchOptions",
    "BundleService",
    "ServiceOptions",
    "answered",
    "application",
    "check_cluster",
]
