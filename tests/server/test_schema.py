"""Requests made from the server's own description of itself."""

import subprocess
import sys
from pathlib import Path

from tests.server.server import Server


def test_schemathesis(served: Server, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{served.port}"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"]
    command += ["--url", url, "--phases", "fuzzing", "--max-examples", "8", "--seed", "1"]
    command += ["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"]
    command += ["--checks", "response_headers_conformance,response_schema_conformance"]
    # What changes what is served for the other tests.
    command += ["--exclude-path-regex", "repository/models", "--generation-deterministic"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "generated" in done.stdout
