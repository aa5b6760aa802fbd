"""Ask a service many texts at once, and print how many it answers per second and how long an answer takes."""

import asyncio
import json
import statistics
import time
from collections import Counter
from pathlib import Path

import aiohttp
import click


@click.command()
@click.option("--url", default="http://127.0.0.1:8000/", show_default=True, help="The service.")
@click.option("--data", required=True, type=click.Path(path_type=Path, exists=True), help="JSON Lines with a key `text`.")
@click.option("--requests", default=1000, show_default=True, help="Requests in all.")
@click.option("--callers", default=16, show_default=True, help="Requests at once.")
@click.option("--answers", type=click.Path(path_type=Path), help="Write the answers here, in the order of the requests.")
def main(url: str, data: Path, requests: int, callers: int, answers: Path | None) -> None:
    """Send texts and measure. The exit code is 1 if a request had no answer."""
    texts = [json.loads(line)["text"] for line in data.read_text("utf-8").splitlines() if line.strip()]
    results, seconds = asyncio.run(asked(url, [texts[i % len(texts)] for i in range(requests)], callers))
    statuses = Counter(status for status, _, _ in results)
    times = sorted(taken * 1000 for status, taken, _ in results if status == 200)
    print(f"{requests} requests by {callers} callers in {seconds:.1f} s: {statuses[200] / seconds:.0f} answers per second")
    if len(times) > 1:
        cut = statistics.quantiles(times, n=100)
        print(f"milliseconds: median {cut[49]:.1f}, 95 % {cut[94]:.1f}, 99 % {cut[98]:.1f}, longest {times[-1]:.1f}")
    for status, count in sorted(statuses.items()):
        print(f"status {status}: {count}")
    if answers:
        answers.write_text("".join(f"{body}\n" for _, _, body in results), "utf-8")
    raise SystemExit(0 if statuses[200] == requests else 1)


async def asked(url: str, texts: list[str], callers: int) -> tuple[list[tuple[int, float, str]], float]:
    """Return the status, the seconds and the body of each response, and the seconds of all. The status 0 is a lost connection."""
    results: list[tuple[int, float, str]] = [(0, 0.0, "")] * len(texts)
    waiting = iter(enumerate(texts))

    async def caller(session: aiohttp.ClientSession) -> None:
        for number, text in waiting:
            started = time.monotonic()
            try:
                async with session.post(url, json={"text": text}) as response:
                    body = await response.text()
                    results[number] = (response.status, time.monotonic() - started, body)
            except aiohttp.ClientError as error:
                results[number] = (0, time.monotonic() - started, str(error))

    started = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        await asyncio.gather(*(caller(session) for _ in range(callers)))
    return results, time.monotonic() - started


if __name__ == "__main__":
    main()
