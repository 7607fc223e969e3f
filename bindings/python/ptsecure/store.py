"""Stores: where sealed models are kept."""

import json
import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ptsecure import _ptsecure
from ptsecure.expect import Expect
from ptsecure.history import History, KeyStatus
from ptsecure.keyring import Keyring
from ptsecure.listing import (
    Check,
    Listing,
    ModelEntry,
    PublishedVersion,
    VersionEntry,
    checked,
    listed,
)
from ptsecure.model import Model, Optimize, Output, Package, Verify, open_options
from ptsecure.progress import Progress, reporting
from ptsecure.publishing import (
    PUBLISHED,
    JWKLike,
    as_inputs,
    import_options,
    publish_options,
)
from ptsecure.source import Format, Stored, Wanted, to_source
from ptsecure.state import state_file

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

__all__ = ["KeyStatus", "Log", "Store", "open_store"]

Log = logging.Logger | Callable[[int, str], object]

_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}


def _log_function(log: Log | None) -> Callable[[int, str], object] | None:
    if not isinstance(log, logging.Logger):
        return log
    return lambda level, message: log.log(_LEVELS.get(level, logging.ERROR), "%s", message)


def open_store(
    uri: str | os.PathLike[str],
    *,
    connect_timeout: float = 5.0,
    operation_timeout: float = 60.0,
    threads: int = 0,
    log: Log | None = None,
    state: str | os.PathLike[str] | bool | None = None,
) -> "Store":
    """Opens a store. Nothing is created and no server is asked yet.

    Args:
        uri: a path, "file:///srv/models", or "mongodb://host/database?options" (also
            "mongodb+srv://") with every option that libmongoc understands.
        connect_timeout: seconds to find a server.
        operation_timeout: seconds for one round trip, not for a whole transfer.
        threads: that seal and open; 0 = the cores this process may use.
        log: a logging.Logger, or a function of level (1 error to 4 debug) and text, called from
            any thread; None = silent.
        state: the file that remembers what was seen of this store, so that it can't show an older
            history later (RollbackError); True = the one at `default_state_path()`, which the
            `ptsecure` command uses too; None = nothing is remembered, and then only `manifest=`,
            `min_sequence=` and `max_age=` protect from old records. It is made with its folder
            where it isn't there.

    Raises:
        InvalidArgumentError: the URI is none.
        UnsupportedError: this build has no MongoDB.
    """
    return Store(
        _ptsecure.Store.open(
            os.fspath(uri),
            connect_timeout=connect_timeout,
            operation_timeout=operation_timeout,
            threads=threads,
            log=_log_function(log),
            state=state_file(state),
        )
    )


class Store(History):
    """Where sealed models are kept: a folder or a MongoDB database. Any thread may use it.

    References are "name" (the newest version), "name/7" or "name@alias". After `os.fork()` a store
    opens connections of its own.

    Any call here may wait for the store. Ctrl-C ends it within about a second, also while a server
    doesn't answer, and so does `timeout`: seconds from its beginning, after which it fails with
    TimeoutError; None = no limit. A change that wasn't made by then isn't made later.
    """

    __slots__ = ("uri",)

    _raw: _ptsecure.Store

    def __init__(self, raw: _ptsecure.Store) -> None:
        self._raw = raw
        self.uri = raw.uri
        """The folder, or the URI without credentials and options."""

    def describe(self, *, timeout: float | None = None) -> dict[str, Any]:
        """uri (without credentials) and id (None when there is no store yet)."""
        facts: dict[str, Any] = json.loads(self._raw.describe(_ptsecure.Deadline(timeout)))
        return facts

    # --- what there is ------------------------------------------------------------------------

    def list(self, *, timeout: float | None = None) -> Listing[ModelEntry]:
        """All models, sorted by name. The index isn't verified."""
        found = json.loads(self._raw.list("", 0, _ptsecure.Deadline(timeout)))
        return listed(ModelEntry, found["models"])

    def versions(self, name: str, *, timeout: float | None = None) -> Listing[VersionEntry]:
        """All versions of a model, newest first. The index isn't verified."""
        found = json.loads(self._raw.list_versions(name, 0, 0, _ptsecure.Deadline(timeout)))
        return listed(VersionEntry, found["versions"], name=name)

    def show(
        self, reference: str, keys: Keyring, *, timeout: float | None = None
    ) -> dict[str, Any]:
        """All about a version, verified: the manifest's members, aliases, signer, key_status."""
        limit = _ptsecure.Deadline(timeout)
        facts: dict[str, Any] = json.loads(self._raw.show(reference, keys._raw, limit))
        return facts

    def verify(
        self,
        reference: str,
        keys: Keyring,
        *,
        expect: Expect | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> Listing[Check]:
        """Verifies all that is stored about a version, every segment included.

        Args:
            reference: "name", "name/7" or "name@alias".
            keys: that trust the signer. With a key that unwraps, the AEAD tags are checked too.
            expect: what the reference must come up to, see `Expect`.
            progress: True for a bar, or a function of bytes done and in all.
            timeout: see `Store`.

        Returns:
            What was looked at.

        Raises:
            UntrustedError, CorruptError, RevokedError, RollbackError: the first check that failed;
                all of them are in the exception's `checks`.
        """
        limit, options = _ptsecure.Deadline(timeout), open_options(expect=expect)
        with reporting(progress, f"verifying {reference}") as on_progress:
            return checked(self._raw.verify(reference, keys._raw, options, limit, on_progress))

    # --- publish ------------------------------------------------------------------------------

    def publish(
        self,
        name: str,
        model: "Stored | torch.nn.Module | ExportedProgram | Mapping[str, torch.Tensor]",
        keys: Keyring,
        *,
        alias: str | None = None,
        labels: Mapping[str, str] | None = None,
        sample: Any = None,
        sample_json: Mapping[str, Any] | str | None = None,
        format: Format | None = None,
        compile: bool = False,
        weights_of: str | None = None,
        torch_dir: str | os.PathLike[str] | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> PublishedVersion:
        """Inspects, encrypts, stores and signs a model as the next version of `name`.

        Nothing is visible before all of it is durable and signed; a call that fails leaves no
        version behind.

        Args:
            name: [A-Za-z0-9][A-Za-z0-9._-]{0,127}.
            model: the path of a model file; its bytes; a binary file that can seek, which is read
                from its first byte on; a GridFSFile, which the library fetches itself; a
                torch.jit.ScriptModule; or an nn.Module, which is scripted, or traced with the
                sample where that can't be done (the result's `captured` says which), in evaluation
                mode. Live modules go through memory (about the model's size once more, twice for a
                moment), never through a file.
            keys: with a key that signs manifests and one to wrap for.
            alias: to point at the new version.
            labels: stored readable and signed.
            sample: the input of `forward`, or a tuple of all its inputs. The model is run on it
                once; datatypes and shapes go into the manifest and are checked from then on.
            sample_json: the sample as an Open Inference Protocol V2 JSON request instead.
            format: "torchscript", "aotinductor" for a compiled package (.pt2), or "opaque" for any
                bytes, which can't be run. None = what the bytes are of the first two.
            compile: `model` is a torch.export.ExportedProgram: AOTInductor compiles it for this
                machine first, which takes tens of seconds and a C++ compiler. Meanwhile torch's
                compiler keeps its source, its library and the weights IN PLAINTEXT in a folder
                below `tempfile.gettempdir()` (`ptsecure-compile-*`) that is closed to other users
                and removed when it is done or fails, not when the process is killed. Point TMPDIR
                at a tmpfs where they may not touch a disk. The package itself stays in memory.
            weights_of: a reference to a compiled version. `model` is then weights for its program,
                which both versions share in the store: safetensors, what torch.save makes of a
                state_dict, or the state_dict itself; checked by name, shape and datatype. The keys
                must open that version. `Package.swap` puts them into a model that is running.
            torch_dir: the folder with libtorch's lib/, instead of the installed torch's.
            progress: True for a bar, or a function of bytes done and in all.
            timeout: see `Store`. Scripting and compiling count, and aren't stopped by it.

        Returns:
            The version, an int.

        Raises:
            InvalidModelError: no model that the engine can load, or none that compiles.
            UnsupportedError: there is no C++ compiler to compile with.
            InvalidInputError: the sample isn't what the model expects.
            InvalidArgumentError: no such format; weights that aren't those of the program.
            NoKeyError: no key that signs, or none to wrap for.
            ConflictError: the file changed meanwhile.
            Error: with `version` set: that version is published, but its alias isn't set.
        """
        limit = _ptsecure.Deadline(timeout)
        wanted = Wanted(
            sample=as_inputs(sample),
            format=format,
            compile=compile,
            weights_of=weights_of,
            progress=progress,
        )
        source = to_source(model, PUBLISHED, wanted)
        options = publish_options(
            alias=alias,
            labels=labels,
            weights_of=weights_of,
            format=format,
            sample=sample,
            sample_json=sample_json,
            torch_dir=torch_dir,
        )
        raw = source.raw()
        with reporting(progress, f"publishing {name}") as on_progress:
            version = _ptsecure.publish(
                self._raw, name, raw, keys._raw, options, limit, on_progress
            )
        return PublishedVersion(version, name, source.captured)

    def import_jwe(
        self,
        name: str,
        file: Stored,
        keys: Keyring,
        *,
        jwk: JWKLike | None = None,
        password: str | bytes | None = None,
        sha256: str | bytes | None = None,
        alias: str | None = None,
        labels: Mapping[str, str] | None = None,
        sample: Any = None,
        sample_json: Mapping[str, Any] | str | None = None,
        format: Format | None = None,
        weights_of: str | None = None,
        torch_dir: str | os.PathLike[str] | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> PublishedVersion:
        """Publishes the model that a JWE (RFC 7516) of a whole file holds, made by any JOSE
        library, as the next version of `name`.

        Compact, flattened or general; alg dir, A128KW to A256KW, A128GCMKW to A256GCMKW, RSA-OAEP,
        RSA-OAEP-256, ECDH-ES with or without key wrapping, PBES2; enc of the GCM and CBC-HS kinds;
        no zip. The text is read as a stream and decrypted to memory, which takes the model's size
        and a few MiB, never to a file. Nothing is inspected or stored before the tag or MAC of the
        whole holds.

        Args:
            name: [A-Za-z0-9][A-Za-z0-9._-]{0,127}.
            file: the path of the JWE; its bytes; a binary file that can seek, a GridOut of
                pymongo for example; or a GridFSFile, which the library fetches itself.
            keys: to sign and wrap with, as in `publish`.
            jwk: the private or symmetric JWK that opens it, as a dict or JSON text; or the file
                that holds it: a Path, or a GridFSFile.
            password: for PBES2, instead of a JWK.
            sha256: of the plaintext, its 32 bytes or 64 hex digits; checked where it is given, and
                required with an RSA or EC key, because anybody with its public part can have made
                the JWE, and with a JWK in GridFS, because whoever can write there can have made
                both.
            alias, labels, sample, sample_json, format, weights_of, torch_dir, progress, timeout:
                as in `publish`.

        Returns:
            The version, an int.

        Raises:
            CorruptError: it is no JWE, a tag or MAC doesn't hold, or the SHA-256 is another.
            NoKeyError: the key doesn't open it.
            InvalidArgumentError: `sha256` is missing where it is required; no key.
            UnsupportedError: an algorithm that isn't taken.
            NotFoundError: no such file.
            Error: as in `publish`.
        """
        limit = _ptsecure.Deadline(timeout)
        source = to_source(file).raw()
        opening = import_options(jwk, password, sha256)
        options = publish_options(
            alias=alias,
            labels=labels,
            weights_of=weights_of,
            format=format,
            sample=sample,
            sample_json=sample_json,
            torch_dir=torch_dir,
        )
        with reporting(progress, f"importing {name}") as on_progress:
            version = _ptsecure.import_jwe(
                self._raw, name, source, keys._raw, opening, options, limit, on_progress
            )
        return PublishedVersion(version, name)

    def copy(
        self,
        reference: str,
        keys: Keyring,
        target: "Store",
        target_keys: Keyring | None = None,
        *,
        alias: str | None = None,
        labels: Mapping[str, str] | None = None,
        weights_of: str | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> PublishedVersion:
        """Verifies a version and publishes it to another store, encrypted anew, as the next
        version of the same name.

        Args:
            reference: "name", "name/7" or "name@alias".
            keys: that trust the signer and unwrap the content key here.
            target: where to.
            target_keys: that sign and wrap there; None = the same keys.
            alias: to point at the new version there.
            labels: stored readable and signed.
            weights_of: for a version that was published with `weights_of`: a reference in the
                target whose program is the same, which it then shares. None = the program is
                copied along.
            progress: True for a bar, or a function of bytes done and in all.
            timeout: see `Store`.
        """
        limit = _ptsecure.Deadline(timeout)
        options = publish_options(alias=alias, labels=labels, weights_of=weights_of)
        with reporting(progress, f"copying {reference}") as on_progress:
            version = _ptsecure.copy(
                self._raw,
                reference,
                keys._raw,
                target._raw,
                (target_keys or keys)._raw,
                options,
                limit,
                on_progress,
            )
        return PublishedVersion(version, reference.partition("@")[0].partition("/")[0])

    # --- open ---------------------------------------------------------------------------------

    def load(
        self,
        reference: str,
        keys: Keyring,
        *,
        verify: Verify = "signed",
        device: str = "cpu",
        intra_op_threads: int = 0,
        warm_ups: int = 0,
        optimize: Optimize = "none",
        output: Output = "auto",
        torch_dir: str | os.PathLike[str] | None = None,
        expect: Expect | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> Model:
        """Fetches, verifies, decrypts and loads a version as one stream.

        Returns only after every byte has been authenticated.

        Args:
            reference: "name", "name/7" or "name@alias".
            keys: that trust the signer and unwrap the content key.
            verify: "signed", or "aead": tensor bytes rest on the AEAD alone, which is faster, for
                those who trust every holder of the content key.
            device: "cpu", "cuda" or "cuda:N".
            intra_op_threads: that one run may use; 0 = libtorch's own choice.
            warm_ups: runs on zeros before the model is returned, when the manifest knows all input
                shapes.
            optimize: a TorchScript program for faster runs, at the cost of a longer open: "freeze"
                (`torch.jit.freeze`: weights become constants) or "inference"
                (`torch.jit.optimize_for_inference`: also fused, and weights copied to layouts that
                suit the machine). For models exported in eval mode that keep no state; the last
                bits of answers may differ. Compiled packages are as they are.
            output: what results are: "auto" (torch tensors when an input is one, else NumPy
                arrays), "numpy" or "torch".
            torch_dir: the folder with libtorch's lib/, instead of the installed torch's.
            expect: what the reference must come up to, see `Expect`.
            progress: True for a bar, or a function of bytes done and in all.
            timeout: see `Store`. What runs inside libtorch is waited for.

        Raises:
            RollbackError: older than the store's state has seen, or than `expect` asks for.
            NotFoundError, UntrustedError, CorruptError, NoKeyError, RevokedError,
            UnavailableError, TimeoutError, EngineError, UnsupportedError (no such device, or a
                program that can't be optimised).
        """
        limit = _ptsecure.Deadline(timeout)
        options = open_options(
            verify=verify,
            device=device,
            intra_op_threads=intra_op_threads,
            warm_ups=warm_ups,
            optimize=optimize,
            torch_dir=torch_dir,
            expect=expect,
        )
        with reporting(progress, f"opening {reference}") as on_progress:
            return Model(self._raw.load(reference, keys._raw, options, output, limit, on_progress))

    def fetch(
        self,
        reference: str,
        keys: Keyring,
        *,
        expect: Expect | None = None,
        timeout: float | None = None,
    ) -> Package:
        """Resolves a reference and verifies its manifest; nothing is decrypted yet. `expect` as in
        `load`."""
        limit, options = _ptsecure.Deadline(timeout), open_options(expect=expect)
        return Package(self._raw.fetch(reference, keys._raw, options, limit))

    def export(
        self,
        reference: str,
        keys: Keyring,
        folder: str | os.PathLike[str],
        *,
        expect: Expect | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> None:
        """Writes a version's parts in their standard formats, still encrypted, into a new or empty
        folder. `expect` as in `load`."""
        limit = _ptsecure.Deadline(timeout)
        options = open_options(expect=expect)
        with Package(self._raw.fetch(reference, keys._raw, options, limit)) as package:
            package._export(folder, limit, progress)

    def __repr__(self) -> str:
        state = ": closed" if self.closed else ""
        return f"<ptsecure.Store {self.uri}{state}>"
