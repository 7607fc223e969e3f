"""Options from command line, environment and file; what can't work is refused at once."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.server.conftest import Start
from tests.server.server import BINARY, environment


def fails(*arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [str(BINARY), *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (1, 2), done.stdout
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("ptsecure-server: ")
    return lines[0]


@pytest.fixture
def usual(store: Command) -> list[str]:
    return ["--store", store.store, "--keys", str(store.keys), "--model", "digits@production"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--listen", "8080"], "--listen must be like"),
        (["--listen", ":8080"], "--listen must be like"),
        (["--listen", "127.0.0.1:99999"], "--listen must be like"),
        (["--listen", "somewhere:1"], "without TLS"),
        (["--listen", "0.0.0.0:0"], "without TLS"),
        (["--listen", "0.0.0.0:0", "--no-auth"], "only for a loopback address"),
        (["--listen", "0.0.0.0:0", "--no-auth", "--allow-plaintext"], "only for a loopback"),
        (["--tls-cert", "c.pem"], "go together"),
        (["--tls-cert", "/no.pem", "--tls-key", "/no.pem"], "must be PEM files"),
        (["--model", "digits@production"], "given twice"),
        (["--model", "@x"], "no model reference"),
        (["--threads", "9999"], "--threads"),
        (["--max-body", "1GiB", "--max-inflight", "1MiB"], "--max-inflight at least"),
        (["--header-timeout", "0"], "more than 0"),
        (["--header-timeout", "soon"], "more than 0"),
        (["--config", "/no/such"], "can't be read"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_refused(usual: list[str], arguments: list[str], part: str) -> None:
    assert part in fails(*usual, *arguments)


def test_every_option_is_in_the_environment() -> None:
    done = subprocess.run([str(BINARY), "--help"], capture_output=True, text=True, check=True)
    options = [line for line in done.stdout.splitlines() if line.startswith("  --")]
    assert len(options) > 20
    for line in options:
        assert "(Env:PTSECURE_" in line or line.startswith("  --version"), line


def test_beyond_loopback_in_the_clear_takes_a_flag(start: Start, store: Command) -> None:
    server = start(listen="0.0.0.0", options=["--allow-plaintext"]).wait_ready()
    assert server.get("/v2").status == 401


def test_missing_and_unknown(usual: list[str], store: Command) -> None:
    assert "--store is missing" in fails()
    assert "--keys is missing" in fails("--store", store.store)
    assert "--model is missing" in fails(*usual[:4])
    assert "nothing" in fails(*usual[:4], "--model", "nothing", "--no-auth", "--listen", "[::1]:0")


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ("[1]", "not a JSON object"),
        ("{", "not a JSON object"),
        ('{"thread": 1}', "no option `thread`"),
        ('{"threads": [1]}', "`threads` must be"),
        ('{"threads": "many"}', "threads"),
        ('{"config": "x"}', "no option `config`"),
    ],
)
def test_refused_files(usual: list[str], tmp_path: Path, config: str, part: str) -> None:
    file = tmp_path / "server.json"
    file.write_text(config)
    assert part in fails(*usual, "--config", str(file))


def test_command_line_before_environment_before_file(
    start: Start, store: Command, tmp_path: Path
) -> None:
    file = tmp_path / "server.json"
    document = {"no-auth": True, "queue": 7, "max-body": 2048, "model": ["pair@production"]}
    file.write_text(json.dumps(document))
    server = start(
        "digits@production",
        options=["--config", str(file), "--max-body", "8KiB"],
        environment={"PTSECURE_SERVER_MAX_BODY": "4096", "PTSECURE_SERVER_NO_ACCESS_LOG": "true"},
    ).wait_ready()
    assert server.get("/v2/models").json == {"models": ["digits"]}
    for size, status in ((8192, 400), (8193, 413)):
        answer = server.request("POST", "/v2/models/digits/infer", b" " * size)
        assert answer.status == status, answer.body
    assert server.events("request") == []
    assert server.stop() == 0
