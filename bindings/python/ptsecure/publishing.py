"""What publish, import and copy hand to the library."""

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

from ptsecure import _ptsecure
from ptsecure._arguments import text_or_none
from ptsecure.compiled import ProgramSource
from ptsecure.errors import InvalidArgumentError
from ptsecure.live import ModuleSource, StateSource
from ptsecure.source import STORED, Format, GridFSFile, Source, to_source
from ptsecure.torch_location import torch_dir as installed_torch

__all__ = ["PUBLISHED", "JWKLike", "as_inputs", "import_options", "publish_options"]

JWKLike = Mapping[str, Any] | str | bytes | os.PathLike[str] | GridFSFile
"""A JWK (RFC 7517) as a dict or as JSON text; or a file that holds it: a Path, or a GridFSFile."""

PUBLISHED: tuple[type[Source], ...] = (StateSource, ProgramSource, ModuleSource, *STORED)
"""The kinds of model that are published; the first that takes one counts."""


def as_inputs(sample: Any) -> tuple[Any, ...] | None:
    if sample is None:
        return None
    return sample if isinstance(sample, tuple) else (sample,)


def publish_options(
    *,
    alias: str | None,
    labels: Mapping[str, str] | None,
    weights_of: str | None,
    format: Format | None = None,
    sample: Any = None,
    sample_json: Mapping[str, Any] | str | None = None,
    torch_dir: str | os.PathLike[str] | None = None,
) -> _ptsecure.PublishOptions:
    request = json.dumps(sample_json) if isinstance(sample_json, Mapping) else sample_json
    return _ptsecure.PublishOptions(
        format=text_or_none("format", format),
        alias=text_or_none("alias", alias),
        labels=dict(labels or {}),
        sample=as_inputs(sample),
        sample_json=text_or_none("sample_json", request),
        weights_of=text_or_none("weights_of", weights_of),
        torch_dir=installed_torch() if torch_dir is None else os.fspath(torch_dir),
    )


def _password_jwk(password: str | bytes) -> bytes:
    octets = password.encode() if isinstance(password, str) else password
    k = base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
    return json.dumps({"kty": "oct", "k": k}).encode()


def import_options(
    jwk: JWKLike | None, password: str | bytes | None, sha256: str | bytes | None
) -> _ptsecure.ImportOptions:
    text, file = b"", None
    if jwk is not None and password is not None:
        raise InvalidArgumentError("a JWE is opened by jwk= or by password=, not by both")
    if password is not None:
        text = _password_jwk(password)
    elif isinstance(jwk, os.PathLike | GridFSFile):
        file = to_source(jwk).raw()
    elif isinstance(jwk, Mapping):
        text = json.dumps(dict(jwk)).encode()
    elif jwk:
        text = jwk.encode() if isinstance(jwk, str) else jwk
    else:
        raise InvalidArgumentError("a JWE needs the key that opens it: jwk= or password=")
    digest = text_or_none("sha256", sha256.hex() if isinstance(sha256, bytes) else sha256)
    return _ptsecure.ImportOptions(jwk=text, jwk_source=file, sha256=digest)
