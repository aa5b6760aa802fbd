"""Which kernels take the time of a model in ONNX Runtime: what to look at if a goal is missed."""

from torch.profiler import ProfilerActivity, profile, record_function

from on_gpu.bert import FUSED
from on_gpu.builders import GraphSet, is_path
from on_gpu.clock import WARM_UPS, synchronised
from on_gpu.models import random_ids
from on_gpu.sessions import DeviceSession
from on_gpu.step import reason_of

RUNS, MOST = 3, 12
PRECISION = "fp16"
SUBJECTS = (("FNet", "dft"), ("FNet", "folded"), ("BERT", FUSED))


def kernel_times(scale, builders):
    """Run the models of the goals under torch's profiler, which sees every kernel of this process; give the longest ones."""
    length, batch = scale.lengths[0], scale.batches[0]
    for model, transform in SUBJECTS:
        path = builders.path(GraphSet(model=model, length=length, transform=transform), PRECISION)
        subject = {"subject": f"{model}, ONNX Runtime", "transform": transform, "precision": PRECISION}
        subject |= {"tokens": length, "batch": batch}
        if not is_path(path):
            yield subject | {"reason": path}
            continue
        try:
            run = DeviceSession(path, scale).bound(random_ids(scale, length, batch))
            yield from (subject | kernel for kernel in _longest(run, scale))
        except Exception as error:
            yield subject | {"reason": reason_of(error)}


def _longest(run, scale):
    """Return the kernels that take longest, each with its number of launches and its time in a run."""
    wait = synchronised(scale)
    for _ in range(WARM_UPS):
        run()
    wait()
    activity = ProfilerActivity.CUDA if scale.on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity]) as found, record_function("all of it"):
        for _ in range(RUNS):
            run()
        wait()
    times = {event.key: (event.count, time_of(event, on_gpu=scale.on_gpu)) for event in found.key_averages()}
    longest = sorted(times.items(), key=lambda item: -item[1][1])[:MOST]
    return [{"kernel": name[:120], "launches": count / RUNS, "ms": us / (1e3 * RUNS)} for name, (count, us) in longest]


def time_of(event, *, on_gpu):
    """Return the microseconds of an event of the profiler: on the GPU, or in a rehearsal on the CPU."""
    return event.self_device_time_total if on_gpu else event.self_cpu_time_total
