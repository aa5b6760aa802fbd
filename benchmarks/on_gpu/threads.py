"""How many texts a second one opened model answers, when 1, 2 and 4 threads use it."""

import threading
import time
from pathlib import Path

from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.providers import PROVIDERS

from on_gpu.builders import GraphSet, is_path
from on_gpu.engines import engine_of_set, opened_engine, runtime_name
from on_gpu.models import base_inputs, random_ids
from on_gpu.step import reason_of

THREADS = (1, 2, 4)
PRECISION, TRANSFORM = "fp16", "dft"


def texts_per_second(scale, builders, library, scratch):
    """Run the shipped session of a provider, and an engine with a context for each thread, one text at a time."""
    length, provider = scale.lengths[0], scale.providers[0]
    wanted = GraphSet(length=length, transform=TRANSFORM)
    path = builders.path(wanted, PRECISION)
    inputs = base_inputs(scale, length)
    case = {"transform": TRANSFORM, "precision": PRECISION, "tokens": length}
    if not is_path(path):
        yield case | {"subject": "FNet", "reason": path}
        return
    openers = {
        f"ONNX Runtime, {provider}": lambda: OrtSession(Path(path), inputs, provider=PROVIDERS[provider], precision=PRECISION),
    }
    if library is not None:

        def engine():
            folder, info = engine_of_set(scale, library, wanted, PRECISION, path, scratch)
            return opened_engine(scale, folder, info, inputs, contexts=max(THREADS))

        openers[f"{runtime_name(scale, library)}, {max(THREADS)} contexts"] = engine
    for name, opener in openers.items():
        try:
            session = opener()
            for count in THREADS:
                rate = _rate(session, random_ids(scale, length, 1), count, scale.case_s)
                yield case | {"subject": f"FNet, {name}", "threads": count, "texts_per_s": rate}
        except Exception as error:
            yield case | {"subject": f"FNet, {name}", "reason": reason_of(error)}


def _rate(session, ids, count, seconds):
    """Return the texts per second of so many threads, after a run to warm up. Raises the first error of a thread."""
    session.run(ids)
    runs, errors = [0] * count, []
    start = time.perf_counter()

    def work(number):
        try:
            while runs[number] == 0 or time.perf_counter() < start + seconds:
                session.run(ids)
                runs[number] += 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return sum(runs) / (time.perf_counter() - start)
