"""Serve a bundle with Ray Serve until Ctrl-C: POST {"text": ...} to http://127.0.0.1:8000/."""

import os
import signal
import threading
from pathlib import Path

import click
import ray
from fnet_runtime.errors import FNetRuntimeError
from fnet_runtime.ray import Actors, ServiceOptions, application, check_cluster
from ray import serve

REQUEST_TIMEOUT_S = 30.0
"""A request that takes longer, such as a body that never ends, is ended by the proxy."""
PROXY_READY_S = "60"
"""Ray kills a proxy that has not started after 5 s and starts another, which may take as long on a busy host."""


@click.command()
@click.option(
    "--bundle", required=True, type=click.Path(path_type=Path, exists=True), help="The bundle; every node needs this path."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, help="The port to listen on.")
@click.option("--replicas", default=1, show_default=True, help="Replicas at first and at least.")
@click.option("--max-replicas", type=int, help="Replicas at most.  [default: the value of --replicas]")
@click.option("--cpus", default=1.0, show_default=True, help="CPUs of each replica.")
@click.option("--gpus", default=0.0, show_default=True, help="GPUs of each replica.")
@click.option("--max-text-bytes", default=100_000, show_default=True, help="A longer text is an error of its request.")
@click.option("--address", help="A running cluster, or `auto`.  [default: start one on this host]")
def main(
    bundle: Path,
    host: str,
    port: int,
    replicas: int,
    max_replicas: int | None,
    cpus: float,
    gpus: float,
    max_text_bytes: int,
    address: str | None,
) -> None:
    """Answer texts over HTTP."""
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", PROXY_READY_S)  # a cluster started here inherits it
    ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        options = ServiceOptions(
            replicas=Actors(count=replicas, cpus=cpus, gpus=gpus),
            max_replicas=max_replicas or replicas,
            max_text_bytes=max_text_bytes,
        )
        check_cluster(options.replicas, reading_cpus=0)
        serve.start(http_options={"host": host, "port": port, "request_timeout_s": REQUEST_TIMEOUT_S})
        serve.run(application(bundle, options), name="fnet", route_prefix="/")
    except FNetRuntimeError as error:
        raise click.ClickException(str(error)) from error
    print(f"listening on http://{host}:{port}/ until Ctrl-C", flush=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
