"""Times of the base model: our graphs in ONNX Runtime, torch eager and compiled, and BERT next to them."""

import contextlib
import math
import time
from pathlib import Path

import torch
from fnet_runtime.errors import SessionError
from fnet_runtime.tokenizer.encoding import Padding

from fnet_core.config import FNetConfig
from fnet_export.base.errors import FNetExportError
from on_gpu.clock import set_tf32, timed_ms
from on_gpu.engine import engine_session
from on_gpu.graphs import TRANSFORMS, GraphSet, bert, fnet, is_path, random_inputs
from on_gpu.sessions import DeviceSession

RUN_AS = ("fp16", "tf32", "fp32", "int8")
"""How models run, in order of worth; TF32 runs the graph of float32."""
IN_TORCH = ("fp16", "tf32", "fp32")
COMPILED_BATCHES = 2


def onnxruntime_times(scale, length, builders):
    """Time every graph of one length in ONNX Runtime, by precision, transform and batch."""
    for run_as in RUN_AS:
        precision = "fp32" if run_as == "tf32" else run_as
        for model, transform in (("FNet", "dft"), ("BERT", None), *(("FNet", name) for name in TRANSFORMS if name != "dft")):
            if transform == "fft" and precision != "fp32":
                continue
            path = builders.paths(GraphSet(model=model, length=length, transform=transform))[precision]
            subject = {"subject": f"{model}, ONNX Runtime", "transform": transform, "precision": run_as, "tokens": length}
            if not is_path(path):
                yield subject | {"reason": path}
                continue
            yield from _session_times(scale, path, subject, run_as)


def _session_times(scale, path, subject, run_as):
    """Time one graph at every batch, and in fp16 as a CUDA graph too; what fails gives its reason and leaves the rest alone."""
    flops = _flops_of_graph(path) if subject["transform"] != "fft" else _flops_of_fft(scale, subject["tokens"])
    try:
        session = DeviceSession(path, scale, tf32=run_as == "tf32")
        runs = {batch: session.bound(_ids(scale, subject["tokens"], batch)) for batch in scale.batches}
    except Exception as error:
        yield subject | {"reason": f"{type(error).__name__}: {error}"}
        return
    for batch, run in runs.items():
        try:
            yield _measured(subject, batch, timed_ms(run, scale), flops)
        except Exception as error:
            yield subject | {"batch": batch, "reason": f"{type(error).__name__}: {str(error)[:300]}"}
    if scale.on_gpu and run_as == "fp16":
        subject = subject | {"subject": f"{subject['subject']}, CUDA graph"}
        try:
            graph = DeviceSession(path, scale, cuda_graph=True)
            run = graph.bound(_ids(scale, subject["tokens"], 1), outputs=session.run(_ids(scale, subject["tokens"], 1)))
            yield _measured(subject, 1, timed_ms(run, scale), flops)
        except Exception as error:
            yield subject | {"reason": f"{type(error).__name__}: {str(error)[:300]}"}


def torch_times(scale, length):
    """Time both models in torch, eager: FNet as transformers computes it (torch.fft), and BERT."""
    for run_as in IN_TORCH:
        for kind in ("FNet", "BERT"):
            subject = {"subject": f"{kind}, torch eager", "transform": "fft" if kind == "FNet" else None}
            subject |= {"precision": run_as, "tokens": length}
            yield from _torch_times(scale, kind, subject, run_as, scale.batches, compiled=False)


def compiled_times(scale, length):
    """The same under torch.compile with CUDA graphs, for the first batches alone: compiling takes long."""
    for run_as in IN_TORCH:
        for kind in ("FNet", "BERT"):
            subject = {"subject": f"{kind}, torch.compile", "transform": "fft" if kind == "FNet" else None}
            subject |= {"precision": run_as, "tokens": length}
            yield from _torch_times(scale, kind, subject, run_as, scale.batches[:COMPILED_BATCHES], compiled=True)


def _torch_times(scale, kind, subject, run_as, batches, *, compiled):
    set_tf32(run_as == "tf32")
    length = subject["tokens"]
    autocast = kind == "FNet" and run_as == "fp16"  # cuFFT takes half precision for powers of two alone, and 768 is not one
    subject |= {"subject": f"{subject['subject']}, autocast"} if autocast else {}
    try:
        model = (_transformers_fnet if kind == "FNet" else bert)({**scale.base, "max_position_embeddings": length}, length)
        model = model.to(scale.device, torch.float16 if run_as == "fp16" and not autocast else torch.float32)
        if compiled:
            torch.compiler.reset()  # else what was compiled before counts against the limit of recompilations
            options = {"mode": "reduce-overhead"} if scale.compile_backend == "inductor" else {}
            model = torch.compile(model, backend=scale.compile_backend, dynamic=False, **options)
        flops = _flops_of_fft(scale, length) if kind == "FNet" else _flops_of_bert(scale, length)
        for batch in batches:
            ids = {name: torch.from_numpy(array).to(scale.device) for name, array in _ids(scale, length, batch).items()}
            with torch.inference_mode(), torch.autocast(scale.device, torch.float16, enabled=autocast):
                start = time.perf_counter()
                model(**ids)
                first_s = time.perf_counter() - start
                found = timed_ms(lambda ids=ids: model(**ids), scale)
            yield _measured(subject, batch, found, flops) | ({"first_run_s": round(first_s, 1)} if compiled else {})
    except Exception as error:
        yield subject | {"reason": f"{type(error).__name__}: {str(error)[:300]}"}
    finally:
        set_tf32(False)
        if scale.on_gpu:
            torch.cuda.empty_cache()


def engine_times(scale, length, builders, scratch):
    """Time TensorRT-RTX engines, where it opens them here; copies of ids to the card and of logits back are included."""
    from fnet_export.graph.tensors import tensors_from_task

    model = fnet({**scale.base, "num_hidden_layers": 1}, length)
    inputs = tensors_from_task(model.task, model.config, Padding(length))[0]
    for precision in ("fp16", "fp32", "int8"):
        for transform in ("dft", "folded"):
            path = builders.paths(GraphSet(length=length, transform=transform))[precision]
            subject = {"subject": "FNet, TensorRT-RTX", "transform": transform, "precision": precision, "tokens": length}
            if not is_path(path):
                yield subject | {"reason": path}
                continue
            try:
                folder = scratch / "engines" / f"{length}-{transform}-{precision}"
                session = engine_session(path, inputs, max(scale.batches), folder)
                for batch in scale.batches:
                    ids = _ids(scale, length, batch)
                    yield _measured(subject, batch, timed_ms(lambda ids=ids, s=session: s.run(ids), scale), _flops_of_graph(path))
            except (FNetExportError, SessionError) as error:
                yield subject | {"reason": str(error)}


# ---- what they share


def _transformers_fnet(config_fields, length):
    import transformers

    from on_gpu.graphs import Logits

    sizes = FNetConfig(**config_fields)
    config = transformers.FNetConfig(
        vocab_size=sizes.vocab_size,
        hidden_size=sizes.hidden_size,
        num_hidden_layers=sizes.num_hidden_layers,
        intermediate_size=sizes.intermediate_size,
        max_position_embeddings=length,
    )
    torch.manual_seed(0)
    return Logits(transformers.FNetForSequenceClassification(config).eval())


def _ids(scale, length, batch):
    from fnet_core.tasks import TASKS
    from on_gpu.graphs import CLASSIFIER

    return random_inputs(TASKS[CLASSIFIER], FNetConfig(**{**scale.base, "max_position_embeddings": length}), length, batch)


def _measured(subject, batch, found, flops):
    rate = flops * batch / (1e9 * found["median_ms"]) if flops else None
    return subject | {"batch": batch, **found, "tflop_per_s": rate, "gflop_per_text": flops / 1e9 if flops else None}


def _flops_of_graph(path):
    """Count the operations of the products of a graph for one text: two for a multiply-add."""
    from fnet_export.precision.proof import products_from_file

    with contextlib.suppress(Exception):
        return 2 * sum(product.multiply_adds for product in products_from_file(Path(path))) or None
    return None


def _flops_of_fft(scale, length):
    """Count an FNet's operations with fast Fourier transforms: 5 n log2(n) for each complex one of n numbers (Cooley, Tukey)."""
    sizes = FNetConfig(**{**scale.base, "max_position_embeddings": length})
    hidden, layers = sizes.hidden_size, sizes.num_hidden_layers
    linear = 2 * length * (hidden * hidden + layers * 2 * hidden * sizes.intermediate_size)
    return linear + layers * 5 * length * hidden * (math.log2(hidden) + math.log2(length))


def _flops_of_bert(scale, length):
    """Count a BERT's operations: projections, attention over all pairs of tokens, feed-forward."""
    sizes = FNetConfig(**{**scale.base, "max_position_embeddings": length})
    hidden = sizes.hidden_size
    per_token = 2 * (4 * hidden * hidden + 2 * length * hidden + 2 * hidden * sizes.intermediate_size)
    return sizes.num_hidden_layers * length * per_token
