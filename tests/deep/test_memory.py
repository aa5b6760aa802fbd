"""An export holds few copies of the weights at once: fnet-large, 1 GB of them, must pass where 12 GB are."""

import json
import subprocess
import sys

from support.checkpoints import save_tiny

COPIES = 6
SCRIPT = """
import json, resource, sys
from pathlib import Path
from support.exports import export

def peak_bytes():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

imported = peak_bytes()
export(Path(sys.argv[1]), Path(sys.argv[2]))
print(json.dumps(peak_bytes() - imported))
"""


def test_an_export_holds_few_copies_of_the_weights(tmp_path):
    sizes = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 8, "vocab_size": 30_000}
    weights = save_tiny(tmp_path / "checkpoint", **sizes) / "model.safetensors"
    command = [sys.executable, "-c", SCRIPT, tmp_path / "checkpoint", tmp_path / "bundle"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert json.loads(done.stdout) < COPIES * weights.stat().st_size
    assert (tmp_path / "bundle" / "model.onnx.data").is_file()
