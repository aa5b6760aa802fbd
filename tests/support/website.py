"""The page of examples/browser, made once for all workers, and its JavaScript in node."""

import fcntl
import json
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from importlib import import_module

from support.paths import ROOT
from support.tiers import not_run

EXAMPLE = ROOT / "examples" / "browser"
BUILD = ROOT / "build" / "browser"
sys.path.insert(0, str(EXAMPLE))
serve_page, website = map(import_module, ("serve_page", "website"))


def libraries():
    """The node_modules of the page, installed unless they are there; the network is needed once."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "install.lock").open("w") as lock:  # of two workers one installs
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return website.libraries_from_npm(BUILD)
        except website.WebsiteError as error:
            not_run("Browser", f"two packages of npm ({str(error).splitlines()[0]})", "apt-get install npm, with a network")


def site_of(bundles, folder):
    """The folder of the page with some bundles, by name."""
    website.website_from_bundles(bundles, libraries(), folder)
    return folder


@contextmanager
def served(folder):
    """Serve a folder on a free port, and give its address."""
    server = serve_page.server_of_folder(folder, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def in_node(folder, code, value):
    """What an async function of a value returns; its code finds modules of a folder by `load(NAME)`."""
    if shutil.which("node") is None:
        not_run("Browser", "node", "apt-get install nodejs")
    program = f"""
        import {{ readFileSync }} from "node:fs";
        const load = (name) => import("{folder.as_uri()}/" + name);
        const value = JSON.parse(readFileSync(0, "utf8"));
        const result = await (async (value) => {{ {code} }})(value);
        process.stdout.write(JSON.stringify(result));
    """
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", program], input=json.dumps(value), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
