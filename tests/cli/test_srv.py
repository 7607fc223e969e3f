"""mongodb+srv://: the servers' addresses come from a name server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT

APART = ["unshare", "--map-root-user", "--mount", "--net"]


def test_servers_are_found_through_srv_records(tmp_path: Path) -> None:
    if subprocess.run([*APART, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("namespaces of one's own aren't allowed here")
    world = subprocess.run(
        [*APART, sys.executable, "-m", "tests.cli.srv_world", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert world.returncode == 0, world.stderr
    said = json.loads(world.stdout)
    assert (said["shape"], said["version"]) == ([8, 10], 1)
    assert "found by the name nowhere.models.test" in said["unknown"]
