"""The lines that examples/python/README.md shows beside the program."""

import re
from pathlib import Path
from typing import Any

import ptsecure
import pytest

from tests.cli.command import ROOT, database
from tests.cli.test_import import encrypt, key_for


def test_history_and_import(
    mongod: str,
    keys: ptsecure.Keyring,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (ROOT / "examples/python/README.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", text, re.S)
    uri = database(mongod, tmp_path.name)
    assert lines.count("mongodb://127.0.0.1/models") == 1
    lines = lines.replace("mongodb://127.0.0.1/models", uri)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    key = key_for("A256KW", "A256GCM")
    Path("key.jwk").write_text(key.export())
    Path("digits.pt.jwe").write_text(encrypt("A256KW", "A256GCM", key, plain=digits.read_bytes()))
    names: dict[str, Any] = {"ptsecure": ptsecure, "keys": keys}
    with ptsecure.open_store(uri) as store:
        for alias in ("production", None):
            store.publish("digits", digits, keys, alias=alias)
        exec(compile(lines, "examples/python/README.md", "exec"), names)
        assert names["model"].version == 1
        assert store.alias("digits", "imported", keys).version == 3
    table = capsys.readouterr().out
    assert "retrained" in table and "wrong threshold" in table
    assert ptsecure.show_state()["stores"]
    names["store"].close()
