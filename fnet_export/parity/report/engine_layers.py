"""The layers of the engine as sums: by module with all blocks together, and by kind and precision."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BLOCK = re.compile(r"\.layer\.\d+")
LARGEST = 3
"""Modules that the terminal names."""


@dataclass(frozen=True, kw_only=True)
class LayerSum:
    """Some layers together: what they have in common, how many they are, their milliseconds, and their share of all layers."""

    names: tuple[str | None, ...]
    count: int
    ms: float
    share: float


def sums_by_module(layers: Sequence[Mapping[str, Any]]) -> list[LayerSum]:
    """Add layers up by module, all blocks together, the slowest first. A fused layer counts for the first of its modules."""
    return _sums(layers, lambda layer: (BLOCK.sub(".layer.*", layer["modules"][0]) if layer["modules"] else None,))


def sums_by_kind(layers: Sequence[Mapping[str, Any]]) -> list[LayerSum]:
    """Add layers up by the engine's word for what they compute, and by precision, the slowest first."""
    return _sums(layers, lambda layer: (layer["kind"], layer["precision"]))


def slowest_first(layers: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any], float]]:
    """Return each layer with its number in the order of execution, from 1, and its share. Layers without a time are last."""
    total = total_ms(layers)
    numbered = [(number, layer, _share(layer["median_ms"] or 0.0, total)) for number, layer in enumerate(layers, 1)]
    return sorted(numbered, key=lambda item: (item[1]["median_ms"] is None, -(item[1]["median_ms"] or 0.0)))


def total_ms(layers: Sequence[Mapping[str, Any]]) -> float:
    """Add up the times of all layers."""
    return float(sum(layer["median_ms"] or 0.0 for layer in layers))


def line_from_profile(profile: Mapping[str, Any]) -> str | None:
    """Say which modules take most of the time, or return None if the engine gave no times."""
    largest = [part for part in sums_by_module(profile["layers"]) if part.ms > 0][:LARGEST]
    if not largest:
        return None
    shares = ", ".join(f"{part.names[0] or 'other layers'} {part.share:.0%}" for part in largest)
    return f"Time by module in {profile['engine']}: {shares}"


def _sums(layers: Sequence[Mapping[str, Any]], names_of: Callable[[Mapping[str, Any]], tuple[str | None, ...]]) -> list[LayerSum]:
    groups: dict[tuple[str | None, ...], list[Mapping[str, Any]]] = {}
    for layer in layers:
        groups.setdefault(names_of(layer), []).append(layer)
    total = total_ms(layers)
    sums = [
        LayerSum(names=names, count=len(group), ms=total_ms(group), share=_share(total_ms(group), total))
        for names, group in groups.items()
    ]
    return sorted(sums, key=lambda part: -part.ms)


def _share(ms: float, total: float) -> float:
    return ms / total if total else 0.0
