"""Programs that are watched: what they look up and connect to, and what they leave in a fresh home."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.tiers import not_run

SPY = Path(__file__).with_name("network_spy.c")
OPTED_OUT = (
    "CI",
    "TF_BUILD",
    "JENKINS_URL",
    "ORT_DISABLE_TELEMETRY",
    "HF_HUB_DISABLE_TELEMETRY",
    "DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
)
"""Variables by which a user or a CI opts out of usage data: a watched program must do without."""
FOLDERS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "HF_HOME")
"""Variables that name folders other than those below the home."""


class Network:
    """Runs programs. `asked` is what they wanted of the network, all of which was refused."""

    def __init__(self, folder):
        compiler = shutil.which("cc")
        if not compiler:
            not_run("Network", "cc", "scripts/system_packages.sh")
        self.library, self.log = folder / "spy.so", folder / "asked"
        subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", SPY, "-o", self.library, "-ldl"], check=True)

    @property
    def asked(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def run(self, *command, home, environment=os.environ):
        """Run a program, which must end well."""
        kept = {name: value for name, value in environment.items() if name not in OPTED_OUT + FOLDERS}
        spied = {"LD_PRELOAD": str(self.library), "NETWORK_SPY": str(self.log), "HOME": str(home)}
        done = subprocess.run([*map(str, command)], env=kept | spied, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def python(self, code, *words, home):
        """Run Python code with the packages of this process."""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return self.run(sys.executable, "-c", code, *words, home=home, environment=environment)
