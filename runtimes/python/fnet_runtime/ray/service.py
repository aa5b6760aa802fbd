"""Serve a bundle with Ray Serve: batches, replicas that come and go with the load, and a self-test as the health check."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fnet_runtime.bundle.manifest import MANIFEST, file_info, manifest_from_folder
from fnet_runtime.bundle.strict_json import json_from_bytes, json_from_values
from fnet_runtime.errors import BundleError, InputError, OptionError, SessionError
from fnet_runtime.pipeline.answers import AnyAnswer
from fnet_runtime.pipeline.open import load
from fnet_runtime.ray.batches import answers_of_rows
from fnet_runtime.ray.cluster import Actors, library
from fnet_runtime.sessions.runtimes import AUTO

VERSION_HEADER = "fnet-bundle"
"""The header of each response that has the version of the bundle."""
KEYS = {"text", "pair"}


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """How a bundle is served. `replicas` says how many there are at first and at least, `max_replicas` how many at most.

    A replica answers up to `batch_rows` requests at once and waits at most `batch_wait_s` for them. It takes `ongoing` requests,
    and each proxy keeps up to `queued` more. Further requests get the status 503. A sender has `body_s` seconds for its body, so
    that senders who stop in the middle do not hold the places of others.
    """

    top_k: int | None = None
    runtime: str = AUTO
    max_text_bytes: int = 100_000
    replicas: Actors = field(default_factory=Actors)
    max_replicas: int = 1
    batch_rows: int = 8
    batch_wait_s: float = 0.005
    ongoing: int = 256
    queued: int = 256
    body_s: float = 5.0
    health_check_s: float = 30.0

    def __post_init__(self) -> None:
        if self.max_replicas < self.replicas.count:
            raise OptionError(f"max_replicas: expected at least {self.replicas.count} replicas, found {self.max_replicas}")

    @property
    def max_body_bytes(self) -> int:
        """Return the longest body of a request: two texts in JSON, where a byte of a text can take six."""
        return 1000 + 12 * self.max_text_bytes


def version_of_bundle(bundle: Path | str) -> str:
    """Return the hash of a bundle's content: the sha256 of its manifest, which holds the hash of every file.

    Checks every file. Raises BundleError.
    """
    folder = Path(bundle)
    manifest_from_folder(folder)
    return file_info(folder / MANIFEST).sha256


def application(bundle: Path | str, options: ServiceOptions | None = None, *, name: str = "fnet") -> Any:
    """Return an application for `ray.serve.run`. The path of the bundle must exist on every node.

    The version of the bundle is an argument of the replicas. So another bundle at the same path replaces them when it is run.
    Ray Serve waits for ever for CPUs that the cluster lacks; `check_cluster` with the replicas says so. Raises BundleError.
    """
    chosen = options or ServiceOptions()
    version = version_of_bundle(bundle)
    deployment = library("ray.serve").deployment(
        BundleService,
        name=name,
        ray_actor_options={"num_cpus": chosen.replicas.cpus, "num_gpus": chosen.replicas.gpus},
        autoscaling_config={
            "min_replicas": chosen.replicas.count,
            "max_replicas": chosen.max_replicas,
            "target_ongoing_requests": chosen.batch_rows,
        },
        max_ongoing_requests=chosen.ongoing,
        max_queued_requests=chosen.queued,
        health_check_period_s=chosen.health_check_s,
    )
    return deployment.bind(str(Path(bundle).absolute()), version, chosen)


class BundleService:
    """One replica: POST `{"text": ..., "pair": ...}` returns the answer as JSON; GET returns the task, labels and version."""

    def __init__(self, bundle: str, version: str, options: ServiceOptions) -> None:
        """Open a bundle and test it. Raises BundleError for a bundle of another version, and SessionError for wrong outputs."""
        found = version_of_bundle(bundle)
        if found != version:
            raise BundleError(f"{bundle}: expected the bundle {version}, found {found}; copy the bundle to every node again")
        self.version, self.options = version, options
        self._pipeline = load(
            bundle, runtime=options.runtime, threads=options.replicas.threads, max_text_bytes=options.max_text_bytes
        )
        self._check()
        batched = library("ray.serve").batch(max_batch_size=options.batch_rows, batch_wait_timeout_s=options.batch_wait_s)
        self._batched = batched(self._answers)

    async def ask(self, text: str, pair: str | list[str] | None = None) -> AnyAnswer:
        """Answer a request of a DeploymentHandle. Raises InputError."""
        answer: AnyAnswer | InputError = await self._batched((text, pair))
        if isinstance(answer, InputError):
            raise answer
        return answer

    async def check_health(self) -> None:
        """Run the self-test, which Ray Serve does every `health_check_s` seconds. Raises SessionError for wrong outputs."""
        await asyncio.to_thread(self._check)

    async def __call__(self, request: Any) -> Any:
        """Answer a request over HTTP. A bad request gets 400, 405, 408 or 413 and a JSON object with `error`."""
        responses = library("starlette.responses")

        def response(value: object, status: int = 200) -> Any:
            headers = {VERSION_HEADER: self.version}
            return responses.Response(json_from_values(value), status, headers, media_type="application/json")

        if request.method in ("GET", "HEAD"):
            manifest = self._pipeline.manifest
            return response({"task": manifest.task, "labels": manifest.labels, "bundle": self.version})
        if request.method != "POST":
            return response({"error": f"expected POST or GET, found {request.method}"}, 405)
        try:
            body = await asyncio.wait_for(self._body(request), self.options.body_s)
        except TimeoutError:
            return response({"error": f"the body did not arrive within {self.options.body_s:g} seconds"}, 408)
        if body is None:
            return response({"error": f"expected a body of at most {self.options.max_body_bytes} bytes"}, 413)
        try:
            return response(await self.ask(*_request_from_body(body)))
        except InputError as error:
            return response({"error": str(error)}, 400)

    async def _body(self, request: Any) -> bytes | None:
        """Read a body, or return None for a body that is too long, without reading it to its end."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self.options.max_body_bytes:
                return None
        return bytes(body)

    async def _answers(self, requests: list[tuple[str, Any]]) -> list[AnyAnswer | InputError]:
        texts, pairs = zip(*requests, strict=True)
        return await asyncio.to_thread(answers_of_rows, self._pipeline, texts, pairs, top_k=self.options.top_k)

    def _check(self) -> None:
        failed = [check for check in self._pipeline.self_test() if not check.passed]
        if failed:
            raise SessionError(
                f"the self-test failed: {failed[0].output}: largest error {failed[0].max_abs:g}, limit {failed[0].limit:g}"
            )


def _request_from_body(body: bytes) -> tuple[str, Any]:
    """Return the text and the pair of a request. Raises InputError."""
    try:
        values = json_from_bytes(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the body is not JSON ({error})") from error
    if not isinstance(values, dict) or "text" not in values or not values.keys() <= KEYS:
        raise InputError('expected a JSON object {"text": ..., "pair": ...}; "pair" may be left out')
    return values["text"], values.get("pair")
