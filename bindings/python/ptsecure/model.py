"""Loaded models, and verified packages that models are loaded from."""

import json
import os
from collections.abc import Callable
from typing import Any, Literal, Self

from ptsecure import _ptsecure
from ptsecure._arguments import text_or_none
from ptsecure._handle import Handle
from ptsecure.errors import InvalidArgumentError
from ptsecure.expect import Expect
from ptsecure.progress import Progress, reporting
from ptsecure.torch_location import torch_dir as installed_torch

__all__ = ["Model", "Optimize", "Output", "Package", "Verify"]

Verify = Literal["signed", "aead"]
Optimize = Literal["none", "freeze", "inference"]
Output = Literal["auto", "numpy", "torch"]


def open_options(
    *,
    verify: Verify = "signed",
    device: str = "cpu",
    intra_op_threads: int = 0,
    warm_ups: int = 0,
    optimize: Optimize = "none",
    torch_dir: str | os.PathLike[str] | None = None,
    expect: Expect | None = None,
) -> _ptsecure.OpenOptions:
    expect = expect or Expect()
    return _ptsecure.OpenOptions(
        verify=verify,
        device=device,
        intra_op_threads=intra_op_threads,
        warm_up_runs=warm_ups,
        optimize=optimize,
        torch_dir=installed_torch() if torch_dir is None else os.fspath(torch_dir),
        manifest=text_or_none("manifest", expect.manifest),
        min_sequence=expect.min_sequence,
        max_age=expect.max_age_seconds,
    )


def _json_bytes(request: str | bytes | dict[str, Any]) -> bytes:
    text = json.dumps(request) if isinstance(request, dict) else request
    return text.encode() if isinstance(text, str) else text


def _limit(timeout: float | None) -> _ptsecure.Deadline | None:
    """None costs a run nothing."""
    return None if timeout is None else _ptsecure.Deadline(timeout)


class Model(Handle):
    """A loaded model, ready to run; `store.load` makes one.

    Calling it runs `forward`:

        model(x)                  # by position
        model(x, lengths=n)       # by the name of the input
        model({"ids": [a, b]})    # dict, list, tuple, str, int, float, bool, None, nested

    Arrays are NumPy arrays, torch tensors or anything with `__dlpack__`. They go in without a copy
    (except arrays with negative strides, of foreign byte order or not aligned) and must not be
    changed during the call; results share the memory that the engine made. Results are torch
    tensors when one of the inputs is one, else NumPy arrays. They are on the CPU, also those of a
    model on a GPU, unless an input lies on a GPU: then they stay with the model.

    Shapes and datatypes are checked against `metadata["inputs"]`, -1 being any extent.

    From several threads: calls on a stateless model run side by side, without the GIL; calls on a
    stateful one run one after the other, so give each stream of inputs its own `fork`. After
    `os.fork()` the child can't run it (ClosedError): load models in the worker.

    `timeout`: seconds that a run may wait for its turn on a stateful model; then it fails with
    TimeoutError, and nothing was run. Ctrl-C ends the wait likewise. A run that has begun can't be
    stopped, only waited for. It is always the call's: an input of this name is given by position.

    Raises:
        InvalidInputError: the inputs aren't what the model expects, or no inputs at all.
        EngineError: the model failed while running.
        UnsupportedError: a result has no NumPy type.
        ClosedError: it is closed, or was loaded before a fork.
    """

    __slots__ = ("_metadata",)

    _raw: _ptsecure.Model

    def __init__(self, raw: _ptsecure.Model) -> None:
        self._raw = raw
        self._metadata: dict[str, Any] | None = None

    def __call__(self, *inputs: Any, timeout: float | None = None, **named: Any) -> Any:
        if timeout is not None and any(i["name"] == "timeout" for i in self.metadata["inputs"]):
            raise InvalidArgumentError(
                "this model has an input 'timeout': give it by position; timeout= is how long the "
                "call may wait, and can't be told from it here"
            )
        return self._raw.infer(inputs, named, None, _limit(timeout))

    def call(self, method: str, *inputs: Any, timeout: float | None = None, **named: Any) -> Any:
        """Runs another exported method than `forward` (NotFoundError: it has none of this name)."""
        return self._raw.infer(inputs, named, method, _limit(timeout))

    def infer_json(
        self, request: str | bytes | dict[str, Any], *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Runs it on an Open Inference Protocol V2 JSON request and gives the JSON response."""
        text = self._raw.infer_json(_json_bytes(request), "", _limit(timeout))
        answer: dict[str, Any] = json.loads(text)
        return answer

    def infer_v1(
        self, request: str | bytes | dict[str, Any], *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Runs it on a KServe V1 request, {"instances": [...]} or {"inputs": ...}, and gives the
        response, {"predictions": ...}. Its signature has to be known, from a sample as a rule."""
        text = self._raw.infer_v1(_json_bytes(request), "", _limit(timeout))
        answer: dict[str, Any] = json.loads(text)
        return answer

    def infer_v2(
        self,
        body: bytes | bytearray | memoryview,
        json_size: int | None = None,
        *,
        timeout: float | None = None,
    ) -> tuple[memoryview, int]:
        """Runs it on an Open Inference Protocol V2 request with the binary tensor extension, as an
        HTTP server gets it.

        Args:
            body: JSON, and behind it the bytes of the inputs that have a `binary_data_size`.
            json_size: bytes of JSON, the header Inference-Header-Content-Length; None = all.
            timeout: see `Model`.

        Returns:
            The response, built the same way, and the bytes of JSON at its beginning: the whole of
            it unless the request asks for binary outputs.
        """
        view = memoryview(body)
        size = view.nbytes if json_size is None else json_size
        response, response_json_size = self._raw.infer_v2(view, size, "", _limit(timeout))
        return memoryview(response), response_json_size

    def fork(self, *, timeout: float | None = None) -> Self:
        """A model that shares the weights and has a copy of the state as it is now, once a run of a
        stateful model that is under way has ended."""
        return type(self)(self._raw.fork(_limit(timeout)))

    @property
    def name(self) -> str:
        return self._raw.name

    @property
    def version(self) -> int:
        return self._raw.version

    @property
    def metadata(self) -> dict[str, Any]:
        """Open Inference Protocol V2 metadata: name, versions, platform, inputs and outputs, each
        with name, datatype and shape; and stateful, weight_bytes, methods."""
        if self._metadata is None:
            self._metadata = json.loads(self._raw.metadata())
        return self._metadata

    def example(self) -> dict[str, Any]:
        """A V2 JSON request that this model answers."""
        request: dict[str, Any] = json.loads(self._raw.example())
        return request

    def __repr__(self) -> str:
        if self.closed:
            return "<ptsecure.Model: closed>"
        inputs = ", ".join(
            f"{each['name']}: {each.get('datatype', each.get('kind', '?'))}{each.get('shape', '')}"
            for each in self.metadata["inputs"]
        )
        state = ", stateful" if self.metadata["stateful"] else ""
        return f"<ptsecure.Model {self.name}/{self.version}({inputs}){state}>"


class Package(Handle):
    """A version whose manifest has been verified; nothing of it is decrypted yet.

    `store.fetch` makes one. For models that other code runs, and for files that are no models.
    `timeout` and Ctrl-C as in `Store`.
    """

    __slots__ = ()

    _raw: _ptsecure.Package

    def __init__(self, raw: _ptsecure.Package) -> None:
        self._raw = raw

    @property
    def name(self) -> str:
        return self._raw.name

    @property
    def version(self) -> int:
        return self._raw.version

    @property
    def size(self) -> int:
        """Bytes of the model in plaintext."""
        return self._raw.size

    @property
    def manifest(self) -> dict[str, Any]:
        """The signed manifest (docs/format.md)."""
        manifest: dict[str, Any] = json.loads(self._raw.manifest())
        return manifest

    def example(self) -> dict[str, Any]:
        """A V2 JSON request that this model answers."""
        request: dict[str, Any] = json.loads(self._raw.example())
        return request

    def load(
        self,
        *,
        verify: Verify = "signed",
        device: str = "cpu",
        intra_op_threads: int = 0,
        warm_ups: int = 0,
        optimize: Optimize = "none",
        output: Output = "auto",
        torch_dir: str | os.PathLike[str] | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> Model:
        """Decrypts and loads it; arguments as in `Store.load`."""
        limit = _ptsecure.Deadline(timeout)
        options = open_options(
            verify=verify,
            device=device,
            intra_op_threads=intra_op_threads,
            warm_ups=warm_ups,
            optimize=optimize,
            torch_dir=torch_dir,
        )
        with reporting(progress, f"opening {self.name}/{self.version}") as on_progress:
            return Model(self._raw.load(options, output, limit, on_progress))

    def swap(
        self,
        running: Model,
        *,
        verify: Verify = "signed",
        progress: Progress = False,
        timeout: float | None = None,
    ) -> Model:
        """Puts the weights of this version under the program of a model that is running.

        Runs under way end with the old weights, later ones use the new ones, and nothing waits for
        the weights to be decrypted. `running` and its stateless forks answer with the new weights
        too, under the name and version they had; state starts anew. On failure nothing has changed.

        Args:
            running: a model of the same program: of the version that this one was published as
                `weights_of`, or of other weights for it.
            verify, progress, timeout: as in `Store.load`.

        Returns:
            The model as this version.

        Raises:
            InvalidArgumentError: it is another program.
            UnsupportedError: the engine or the package can't: `load` it beside `running`.
        """
        limit, options = _ptsecure.Deadline(timeout), open_options(verify=verify)
        with reporting(progress, f"opening {self.name}/{self.version}") as on_progress:
            return Model(self._raw.swap(running._raw, options, limit, on_progress))

    def decrypt(self, *, progress: Progress = False, timeout: float | None = None) -> memoryview:
        """All plaintext bytes, every one authenticated, in memory that is overwritten with zeros
        when the last view of it is gone."""
        limit = _ptsecure.Deadline(timeout)
        with reporting(progress, f"decrypting {self.name}/{self.version}") as on_progress:
            return memoryview(self._raw.decrypt(open_options(), limit, on_progress))

    def stream(
        self,
        write: Callable[[memoryview], object],
        *,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> None:
        """Calls `write(view)` with the plaintext in order, each segment authenticated before it is
        handed out; only a normal return says that all of it came. A view is released when `write`
        returns. Called on another thread, one at a time; what it raises comes out of here."""
        limit = _ptsecure.Deadline(timeout)
        with reporting(progress, f"decrypting {self.name}/{self.version}") as on_progress:
            self._raw.stream(write, open_options(), limit, on_progress)

    def export(
        self,
        folder: str | os.PathLike[str],
        *,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> None:
        """Writes the parts in their standard formats, still encrypted, into a new or empty
        folder: payload.bin, key-N.jwe, manifest.jws, digests.bin, README.txt."""
        self._export(folder, _ptsecure.Deadline(timeout), progress)

    def _export(
        self, folder: str | os.PathLike[str], limit: _ptsecure.Deadline, progress: Progress
    ) -> None:
        with reporting(progress, f"exporting {self.name}/{self.version}") as on_progress:
            self._raw.export(os.fspath(folder), open_options(), limit, on_progress)

    def __repr__(self) -> str:
        if self.closed:
            return "<ptsecure.Package: closed>"
        return f"<ptsecure.Package {self.name}/{self.version}, {self.size:,} bytes>"
