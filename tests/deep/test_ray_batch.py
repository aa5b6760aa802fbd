"""A job on a cluster of several nodes: whatever dies in the middle, no row is lost, doubled or answered differently."""

import json
import shutil
import signal
import subprocess
import time

import pytest
from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.pipeline.open import load
from support.paths import ROOT
from support.services import SECONDS, environment, example, python, ran, started

ANSWER = ROOT / "examples" / "ray_batch" / "answer.py"
CLUSTER = ROOT / "tests" / "support" / "ray_cluster.py"
ROWS, LINES = 3000, 1500
BAD = {
    7: "not JSON",
    500: '{"text": 5, "id": "500"}',
    900: '{"no": "text"}',
    1200: "[" * 5000,
    1400: '{"text": "' + "x" * 9000 + '"}',
}
"""Lines of the input that cannot be answered, by their number."""
WRITE = """
import json, sys
import pyarrow as pa, pyarrow.parquet as pq
rows = json.load(sys.stdin)
pq.write_table(pa.table({"text": [row[0] for row in rows], "id": [row[1] for row in rows]}), sys.argv[1], row_group_size=50)
"""
READ = """
import json, sys
from pathlib import Path
import pyarrow.parquet as pq
for file in sorted(Path(sys.argv[1]).glob("part-*.parquet")):
    for row in pq.read_table(file).to_pylist():
        print(json.dumps(row))
"""
START = """
import sys, ray
ray.init(num_cpus=int(sys.argv[1]), include_dashboard=False, log_to_driver=False)
"""


def text_of(number):
    return f"the quick brown fox {number} jumps over the lazy dog " * (1 + number % 5)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with a Parquet file and a JSON Lines file."""
    folder = tmp_path_factory.mktemp("inputs")
    rows = [[None if number == 11 else text_of(number), str(number)] for number in range(ROWS)]
    ran("-c", WRITE, folder / "a.parquet", input=json.dumps(rows))
    lines = [BAD.get(number) or json.dumps({"text": text_of(number), "id": str(ROWS + number)}) for number in range(LINES)]
    (folder / "b.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def expected(whole_bundle):
    """The answer of each text in one process."""
    pipeline = load(whole_bundle, threads=1)
    texts = [text_of(number) for number in range(ROWS)]
    return dict(zip(texts, pipeline.classify(texts), strict=True))


class Cluster:
    """A cluster of two nodes of 2 CPUs next to a head of 1 CPU."""

    def __init__(self, process):
        self.process = process
        self.address = process.stdout.readline().strip()
        assert self.tell("nodes 2") == "2"

    def tell(self, words):
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def cluster(tmp_path):
    with started(CLUSTER, 1, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path) as process:
        yield Cluster(process)
        process.stdin.close()
        process.wait(SECONDS)


def words(whole_bundle, inputs, output, address, *more):
    sizes = ["--rows-per-part", 50, "--bytes-per-part", 4000, "--max-line-bytes", 8000]
    job = ["--bundle", whole_bundle, "--input", inputs, "--output", output, "--keep", "id", "--actors", 2, *sizes]
    return [ANSWER, *job, "--address", address, *more]


def driver(*arguments, log):
    return subprocess.Popen([python(), *map(str, arguments)], env=environment(), stdout=log, stderr=subprocess.STDOUT)


def parts_in(output):
    return len(list(output.glob("part-*.parquet")))


def wait_for(condition, process, log):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def check(output, expected):
    """Every row is there once, with the answer of one process; return the manifest."""
    manifest = json.loads((output / "manifest.json").read_text())
    rows = [json.loads(line) for line in ran("-c", READ, output).splitlines()]
    assert len(rows) == manifest["rows"] == ROWS + LINES
    assert len({(row["source"], row["position"]) for row in rows}) == len(rows)
    failed = [row for row in rows if row["error"] is not None]
    assert len(failed) == manifest["errors"] == len(BAD) + 1
    assert all(row["label"] is None and row["answer"] is None for row in failed)
    good = [row for row in rows if row["error"] is None]
    ids = sorted(int(row["id"]) for row in good)
    assert ids == sorted({*range(ROWS + LINES)} - {11} - {ROWS + number for number in BAD})
    for row in good:
        assert row["text"] == text_of(int(row["id"]) % ROWS)
        answer = expected[row["text"]]
        assert row["label"] == answer.label
        assert row["score"] == pytest.approx(answer.score, abs=1e-6)
        assert row["score"] == answer.score, "another last bit"
        assert row["answer"] == json_from_values(answer)
    assert not list(output.glob(".part-*"))
    return manifest


def test_workers_and_a_node_are_killed_in_the_middle(whole_bundle, inputs, expected, cluster, tmp_path):
    output, log = tmp_path / "output", tmp_path / "log.txt"
    with log.open("w") as stream:
        process = driver(*words(whole_bundle, inputs, output, cluster.address), log=stream)
    killed = 0
    for count in (3, 8, 13):
        wait_for(lambda count=count: parts_in(output) >= count, process, log)
        killed += int(cluster.tell("kill-worker"))
    wait_for(lambda: parts_in(output) >= 18, process, log)
    assert cluster.tell("kill-node") == "1"
    assert parts_in(output) < 60, "the job was done before anything died"
    assert process.wait(SECONDS) == 0, log.read_text()
    assert killed >= 1
    check(output, expected)


def test_the_driver_is_killed_and_started_again(whole_bundle, inputs, expected, cluster, tmp_path):
    output, log = tmp_path / "output", tmp_path / "log.txt"
    command = words(whole_bundle, inputs, output, cluster.address)
    for count in (5, 20):
        with log.open("w") as stream:
            process = driver(*command, log=stream)
        wait_for(lambda count=count: parts_in(output) >= count, process, log)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (output / "manifest.json").exists()
    done = {path: path.stat().st_mtime_ns for path in output.glob("part-*.parquet")}
    printed = ran(*command)
    before = int(printed.splitlines()[0].split(" parts, ")[1].split()[0])
    assert before >= 20
    manifest = check(output, expected)
    assert {path: path.stat().st_mtime_ns for path in done} == done, "a part that was done was done again"
    again = ran(*command)
    assert again.startswith(f"{len(manifest['parts'])} parts, {len(manifest['parts'])} of them done before\n")
    refused = ran(*words(whole_bundle, inputs, output, cluster.address, "--rows-per-part", 100), expected=1)
    assert "belongs to another job, which differs in rows_per_part; choose another --output" in refused
    crowded = ran(*words(whole_bundle, inputs, tmp_path / "b", cluster.address, "--actors", 9), expected=1)
    assert "the cluster has room for 5 actors of 1 CPU" in crowded


def test_the_page_answers_a_dataset(whole_bundle, inputs, expected, tmp_path):
    (tmp_path / "texts").mkdir()
    shutil.copy(inputs / "a.parquet", tmp_path / "texts")
    code = START + example("answered(", **{"/bundles/spam": whole_bundle, "body": "text"})
    refused = ran("-c", code, 2, expected=1, cwd=tmp_path)
    assert "2 actors of 1 CPU need 3 CPUs, with 1 for reading and writing; the cluster has 2, and 2 are free" in refused
    ran("-c", code, 3, cwd=tmp_path)
    dump = READ.replace("part-*", "*")
    rows = [json.loads(line) for line in ran("-c", dump, tmp_path / "answers").splitlines()]
    assert sorted(int(row["id"]) for row in rows) == [*range(ROWS)]
    for row in rows:
        assert (row["error"] == "the text is null") if row["id"] == "11" else (row["label"] == expected[row["text"]].label)
