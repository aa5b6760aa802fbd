"""Load on a Triton server, run by its own environment's Python: CLIENTS threads ask one text a request, each after its last answer.

Reads {"address", "model", "clients", "seconds", "texts"} as JSON on standard input. Prints {"times_ms", "seconds"} as JSON: the
time of each request, after one that warms up for each client, and how long all of it took.
"""

import json
import sys
import threading
import time

import numpy as np
import tritonclient.grpc as triton


def main():
    job = json.load(sys.stdin)
    times, ready = [], threading.Barrier(job["clients"] + 1)

    def ask(first):
        client = triton.InferenceServerClient(job["address"])
        output = [triton.InferRequestedOutput("answer")]
        number, end = first, None
        while end is None or time.perf_counter() < end:
            tensor = triton.InferInput("text", [1, 1], "BYTES")
            tensor.set_data_from_numpy(np.array([[job["texts"][number % len(job["texts"])].encode()]], np.object_))
            begun = time.perf_counter()
            client.infer(job["model"], [tensor], outputs=output).as_numpy("answer")
            if end is None:
                ready.wait()
                end = time.perf_counter() + job["seconds"]
            else:
                times.append(1000 * (time.perf_counter() - begun))
            number += job["clients"]

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(job["clients"])]
    for thread in threads:
        thread.start()
    ready.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    json.dump({"times_ms": times, "seconds": time.perf_counter() - begun}, sys.stdout)


main()
