"""Every way of running an exported model on this host: torch, transformers, and the runtimes on every graph and engine."""

from collections.abc import Callable
from functools import partial
from importlib import util
from pathlib import Path

from fnet_runtime.bundle.manifest import BF16, FP8, FP32, OPENVINO, EngineInfo, TensorInfo
from fnet_runtime.install import install_line
from fnet_runtime.sessions.openvino_session import OpenVinoSession
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.providers import CPU, provider_from_name
from fnet_runtime.sessions.runtimes import SessionOptions, session_from_options
from fnet_runtime.sessions.session import Session
from fnet_runtime.tokenizer.encoding import MAX_LENGTH

from fnet_export.engine.sessions.cpp_session import CppSession
from fnet_export.engine.sessions.torch_session import TorchSession
from fnet_export.engine.sessions.transformers_session import TransformersSession
from fnet_export.graph.trained import fnet_from_trained, model_from_trained
from fnet_export.parity.check import Candidate, Opener
from fnet_export.plan.graphs import Graphs, lowered_from_plan
from fnet_export.plan.plan import Plan
from fnet_export.precision.emulation import expected_model

LEVELS = {"unoptimised": False, "optimised": True}
"""ONNX Runtime's graph optimisations, none or all."""
NO_BF16 = "ONNX Runtime has no bf16 products on this CPU"


def candidates_from_plan(plan: Plan, graphs: Graphs, folder: Path, engine: EngineInfo | None) -> list[Candidate]:
    """List them, those of the bundle's own files last. None of them holds a model before it is opened."""
    trained, inputs, precision = plan.trained, plan.inputs, plan.options.graph.precision
    candidates = [
        Candidate(name="torch float32, fft", open=lambda: TorchSession(model_from_trained(trained)), expected=True),
        Candidate(name=f"torch float32, lowered, {plan.transform.name}", open=lambda: TorchSession(lowered_from_plan(plan))),
        Candidate(name="transformers", open=_transformers(plan), needed=False),
    ]
    if trained.padding.contract == MAX_LENGTH:  # the matrices of `dft` are of one length
        dft = Candidate(name="torch float32, dft", open=lambda: TorchSession(model_from_trained(trained, transform="dft")))
        candidates.insert(1, dft)
    if precision != FP32:
        candidates.append(
            Candidate(
                name=f"torch, {precision} emulated",
                open=lambda: TorchSession(expected_model(model_from_trained(trained), precision, graphs.steps)),
                precision=precision,
                expected=True,
            )
        )
    candidates += _onnx_candidates("traced graph", graphs.traced, inputs, shipped=not plan.options.graph.simplify)
    final = graphs.shipped == graphs.float32
    if plan.options.graph.simplify:
        candidates += _onnx_candidates("final graph" if final else "simplified graph", graphs.float32, inputs, shipped=final)
    else:
        candidates.append(Candidate(name="ONNX Runtime, simplified graph", open="--no-simplify: model.onnx is the traced graph"))
    if not final:
        candidates += _onnx_candidates("final graph", graphs.shipped, inputs, precision=precision, shipped=True)
    candidates.append(
        Candidate(
            name="C++ runtime, final graph",
            open=NO_BF16 if precision == BF16 else partial(CppSession, graphs.shipped, inputs),
            precision=precision,
            needed=False,
        )
    )
    if plan.options.proof.provider != CPU:
        candidates.append(_on_provider(plan, graphs))
    if engine is None or engine.library != OPENVINO:
        candidates.append(
            Candidate(name="OpenVINO, final graph", open=_openvino(plan, graphs.shipped, inputs), precision=precision, needed=False)
        )
    elif not final:
        candidates.append(Candidate(name="OpenVINO, simplified graph", open=partial(OpenVinoSession, graphs.float32, inputs)))
    if engine is None:
        return _asked_for(plan, candidates)
    file = folder / engine.file
    run = partial(session_from_options, SessionOptions(file=file, inputs=inputs, precision=precision, engine=engine))
    name = "OpenVINO, model.xml" if engine.library == OPENVINO else f"{engine.library} engine"
    return _asked_for(plan, [*candidates, Candidate(name=name, open=run, precision=precision, shipped=True)])


def _asked_for(plan: Plan, candidates: list[Candidate]) -> list[Candidate]:
    """Leave out of a quick check what is neither shipped nor says what to expect of the bundle's precision."""
    if not plan.options.proof.quick:
        return candidates
    return [
        candidate
        for candidate in candidates
        if candidate.shipped or (candidate.expected and candidate.precision == plan.options.graph.precision)
    ]


def _onnx_candidates(
    graph: str, path: Path, inputs: tuple[TensorInfo, ...], *, precision: str = FP32, shipped: bool = False
) -> list[Candidate]:
    """ONNX Runtime on one graph, by optimisation level."""

    def opener(optimize: bool) -> Callable[[], Session] | str:
        if precision == BF16:
            return NO_BF16
        return partial(OrtSession, path, inputs, optimize=optimize)

    return [
        Candidate(name=f"ONNX Runtime, {graph}, {level}", open=opener(optimize), precision=precision, shipped=shipped and optimize)
        for level, optimize in LEVELS.items()
    ]


def _on_provider(plan: Plan, graphs: Graphs) -> Candidate:
    """ONNX Runtime on the bundle's graph, by the provider that the options name."""
    asked, precision = plan.options.proof, plan.options.graph.precision
    provider = provider_from_name(asked.provider)
    run = partial(
        OrtSession, graphs.shipped, plan.inputs, provider=provider, precision=precision, allow_partial=asked.allow_partial
    )
    return Candidate(name=f"ONNX Runtime, {provider.ort_name}, final graph", open=run, precision=precision, shipped=True)


def _openvino(plan: Plan, path: Path, inputs: tuple[TensorInfo, ...]) -> Opener | str:
    if util.find_spec("openvino") is None:
        return f"openvino is not installed; {install_line(OPENVINO)}"
    if plan.transform.name == "fft":
        return "OpenVINO computes ONNX's operator DFT wrongly (2026.4: off by the size of the outputs)"
    if plan.options.graph.precision == FP8:
        return "OpenVINO rounds to float16 before it rounds to fp8 (2026.4), so its numbers are not those that ONNX asks for"
    return partial(OpenVinoSession, path, inputs, precision=plan.options.graph.precision)


def _transformers(plan: Plan) -> Opener | str:
    if plan.trained.task.predict_positions is not None:
        return "transformers' masked-lm takes no positions"
    return lambda: TransformersSession(fnet_from_trained(plan.trained))
