"""Stores: where sealed models are kept."""

import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from ptsecure import _ptsecure, source
from ptsecure._arguments import text_or_none
from ptsecure._handle import Handle
from ptsecure.compiled import compile_program, is_exported
from ptsecure.errors import InvalidArgumentError
from ptsecure.keyring import Keyring
from ptsecure.listing import (
    Alias,
    AliasRecord,
    Check,
    Listing,
    LogRecord,
    ModelEntry,
    PublishedVersion,
    VersionEntry,
    checked,
    entry,
    listed,
)
from ptsecure.live import capture, is_live, state_bytes
from ptsecure.model import Model, Optimize, Output, Package, Verify, open_arguments
from ptsecure.progress import Progress, reporting
from ptsecure.source import GridFSFile, JWKLike, Source
from ptsecure.state import state_file
from ptsecure.torch_location import torch_dir as installed_torch

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

__all__ = ["KeyStatus", "Log", "Store", "open_store"]

KeyStatus = Literal["enabled", "disabled", "destroyed"]
Format = Literal["torchscript", "aotinductor", "opaque"]
Log = logging.Logger | Callable[[int, str], object]

_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}


def _log_function(log: Log | None) -> Callable[[int, str], object] | None:
    if not isinstance(log, logging.Logger):
        return log
    return lambda level, message: log.log(_LEVELS.get(level, logging.ERROR), "%s", message)


def _without_credentials(uri: str) -> str:
    if "://" not in uri:
        return uri
    return re.sub(r"^([^:/]+://)[^/]*@", r"\1", uri).partition("?")[0]


def _as_inputs(sample: Any) -> tuple[Any, ...] | None:
    if sample is None:
        return None
    return sample if isinstance(sample, tuple) else (sample,)


def _compiled(
    model: object, compile: bool, format: Format | None, progress: Progress
) -> memoryview:
    if not is_exported(model):
        raise InvalidArgumentError(
            "compile=True takes a torch.export.ExportedProgram, as torch.export.export(module, "
            f"inputs) or torch.export.load(path) gives it, not a {type(model).__name__}"
        )
    if not compile or format not in (None, "aotinductor"):
        raise InvalidArgumentError(
            "an exported program can't be run before it is compiled: publish it with compile=True, "
            "or what torch._inductor.aoti_compile_and_package makes of it, as "
            "format='aotinductor'"
        )
    return compile_program(model, progress)  # type: ignore[arg-type]  # it is one


def _publish_arguments(
    alias: str | None,
    labels: Mapping[str, str] | None,
    format: Format | None = None,
    torch_dir: str | os.PathLike[str] | None = None,
    sample: tuple[Any, ...] | None = None,
    sample_json: Mapping[str, Any] | str | None = None,
    weights_of: str | None = None,
) -> _ptsecure.PublishArguments:
    request = json.dumps(sample_json) if isinstance(sample_json, Mapping) else sample_json
    return _ptsecure.PublishArguments(
        format or "",
        alias or "",
        dict(labels or {}),
        sample,
        text_or_none("sample_json", request),
        text_or_none("weights_of", weights_of),
        installed_torch() if torch_dir is None else os.fspath(torch_dir),
    )


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
    text = os.fspath(uri)
    raw = _ptsecure.Store.open(
        text, connect_timeout, operation_timeout, threads, _log_function(log), state_file(state)
    )
    return Store(raw, _without_credentials(text))


class Store(Handle):
    """Where sealed models are kept: a folder or a MongoDB database. Any thread may use it.

    References are "name" (the newest version), "name/7" or "name@alias". After `os.fork()` a store
    opens connections of its own.
    """

    __slots__ = ("uri",)

    _raw: _ptsecure.Store

    def __init__(self, raw: _ptsecure.Store, uri: str) -> None:
        self._raw = raw
        self.uri = uri
        """Without credentials and options."""

    def describe(self) -> dict[str, Any]:
        """uri (without credentials) and id (None when there is no store yet)."""
        facts: dict[str, Any] = json.loads(self._raw.describe())
        return facts

    # --- what there is ------------------------------------------------------------------------

    def list(self) -> Listing[ModelEntry]:
        """All models, sorted by name. The index isn't verified."""
        return listed(ModelEntry, json.loads(self._raw.list("", 0))["models"])

    def versions(self, name: str) -> Listing[VersionEntry]:
        """All versions of a model, newest first. The index isn't verified."""
        versions = json.loads(self._raw.list_versions(name, 0, 0))["versions"]
        return listed(VersionEntry, versions, name=name)

    def show(self, reference: str, keys: Keyring) -> dict[str, Any]:
        """All about a version, verified: the manifest's members, aliases, signer, key_status."""
        facts: dict[str, Any] = json.loads(self._raw.show(reference, keys._raw))
        return facts

    def verify(
        self,
        reference: str,
        keys: Keyring,
        *,
        manifest: str | None = None,
        min_sequence: int = 0,
        max_age: timedelta | float | None = None,
        progress: Progress = False,
    ) -> Listing[Check]:
        """Verifies all that is stored about a version, every segment included.

        `manifest`, `min_sequence` and `max_age` as in `load`.

        Returns:
            What was looked at.

        Raises:
            UntrustedError, CorruptError, RevokedError, RollbackError: the first check that failed;
                all of them are in the exception's `checks`.
        """
        arguments = open_arguments(manifest=manifest, min_sequence=min_sequence, max_age=max_age)
        with reporting(progress, f"verifying {reference}") as on_progress:
            return checked(self._raw.verify(reference, keys._raw, arguments, on_progress))

    # --- publish ------------------------------------------------------------------------------

    def publish(
        self,
        name: str,
        model: "Source | torch.nn.Module | ExportedProgram | Mapping[str, torch.Tensor]",
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
    ) -> PublishedVersion:
        """Inspects, encrypts, stores and signs a model as the next version of `name`.

        Nothing is visible before all of it is durable and signed; a call that fails leaves no
        version behind.

        Args:
            name: [A-Za-z0-9][A-Za-z0-9._-]{0,127}.
            model: the path of a model file; its bytes; a binary file that can seek, which is read
                from its first byte on; a torch.jit.ScriptModule; or an nn.Module, which is
                scripted, or traced with the sample where that can't be done (the result's
                `captured` says which), in evaluation mode. Live modules go through memory (about
                the model's size once more, twice for a moment), never through a file.
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
        sample = _as_inputs(sample)
        captured = None
        if weights_of is not None and isinstance(model, Mapping):
            model = state_bytes(model)
        elif compile or is_exported(model):
            model = _compiled(model, compile, format, progress)
        elif is_live(model):
            if format not in (None, "torchscript") or weights_of is not None:
                raise InvalidArgumentError(
                    "a live module is published as format='torchscript', without weights_of"
                )
            model, captured = capture(model, sample)  # type: ignore[arg-type]
        arguments = _publish_arguments(
            alias, labels, format, torch_dir, sample, sample_json, weights_of
        )
        with reporting(progress, f"publishing {name}") as on_progress:
            version = source.publish(self._raw, name, model, keys._raw, arguments, on_progress)
        return PublishedVersion(version, name, captured)

    def import_jwe(
        self,
        name: str,
        file: Source | GridFSFile,
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
            jwk: the private or symmetric JWK that opens it, as a dict or JSON text.
            password: for PBES2, instead of a JWK.
            sha256: of the plaintext, its 32 bytes or 64 hex digits; checked where it is given, and
                required with an RSA or EC key, because anybody with its public part can have made
                the JWE.
            alias, labels, sample, sample_json, format, weights_of, torch_dir, progress: as in
                `publish`.

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
        arguments = _publish_arguments(
            alias, labels, format, torch_dir, _as_inputs(sample), sample_json, weights_of
        )
        with reporting(progress, f"importing {name}") as on_progress:
            version = source.import_jwe(
                self._raw, name, file, jwk, password, sha256, keys._raw, arguments, on_progress
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
        progress: Progress = False,
    ) -> PublishedVersion:
        """Verifies a version and publishes it to another store, encrypted anew, as the next
        version of the same name. `target_keys` (default: the same keys) sign and wrap there."""
        arguments = _publish_arguments(alias, labels)
        with reporting(progress, f"copying {reference}") as on_progress:
            version = _ptsecure.copy(
                self._raw,
                reference,
                keys._raw,
                target._raw,
                (target_keys or keys)._raw,
                arguments,
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
        manifest: str | None = None,
        min_sequence: int = 0,
        max_age: timedelta | float | None = None,
        progress: Progress = False,
    ) -> Model:
        """Fetches, verifies, decrypts and loads a version as one stream.

        Returns only after every byte has been authenticated. Ctrl-C stops it within about a
        second, also while a server doesn't answer.

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
            manifest: refuse any version but the one whose manifest has this SHA-256, in base64url
                or hexadecimal (`alias(...).manifest`); None = any.
            min_sequence: refuse an alias whose last record comes before this one; only for
                "name@alias". 0 = any.
            max_age: refuse an alias whose last record was signed longer ago than this, a timedelta
                or seconds, by the time in that record; None = any. Allow for clocks that differ;
                one dated more than 300 s into the future is refused too.
            progress: True for a bar, or a function of bytes done and in all.

        Raises:
            RollbackError: older than the store's state has seen, or than `manifest`,
                `min_sequence` or `max_age` ask for.
            NotFoundError, UntrustedError, CorruptError, NoKeyError, RevokedError,
            UnavailableError, TimeoutError, EngineError, UnsupportedError (no such device, or a
                program that can't be optimised).
        """
        arguments = open_arguments(
            verify,
            device,
            intra_op_threads,
            warm_ups,
            torch_dir,
            manifest,
            min_sequence,
            max_age,
            optimize,
        )
        with reporting(progress, f"opening {reference}") as on_progress:
            return Model(self._raw.load(reference, keys._raw, arguments, output, on_progress))

    def fetch(
        self,
        reference: str,
        keys: Keyring,
        *,
        manifest: str | None = None,
        min_sequence: int = 0,
        max_age: timedelta | float | None = None,
    ) -> Package:
        """Resolves a reference and verifies its manifest; nothing is decrypted yet. `manifest`,
        `min_sequence` and `max_age` as in `load`."""
        arguments = open_arguments(manifest=manifest, min_sequence=min_sequence, max_age=max_age)
        return Package(self._raw.fetch(reference, keys._raw, arguments))

    def export(
        self,
        reference: str,
        keys: Keyring,
        folder: str | os.PathLike[str],
        *,
        manifest: str | None = None,
        min_sequence: int = 0,
        max_age: timedelta | float | None = None,
        progress: Progress = False,
    ) -> None:
        """Writes a version's parts in their standard formats, still encrypted, into a new or empty
        folder. `manifest`, `min_sequence` and `max_age` as in `load`."""
        with self.fetch(
            reference, keys, manifest=manifest, min_sequence=min_sequence, max_age=max_age
        ) as package:
            package.export(folder, progress=progress)

    # --- aliases, keys and history ------------------------------------------------------------

    def aliases(self, name: str, keys: Keyring) -> Listing[Alias]:
        """The aliases of a model, verified; deleted ones are left out."""
        return listed(Alias, json.loads(_ptsecure.list_aliases(self._raw, name, keys._raw)))

    def alias(self, name: str, alias: str, keys: Keyring) -> Alias:
        """One alias, verified. Its `sequence` and `manifest` are what a deployment without a state
        pins by `load(min_sequence=)` or `load(manifest=)`.

        Raises:
            NotFoundError: there is none, or it was deleted.
        """
        record = json.loads(_ptsecure.show_alias(self._raw, name, alias, keys._raw))
        return entry(Alias, record)

    def set_alias(
        self, name: str, alias: str, version: int, keys: Keyring, *, reason: str | None = None
    ) -> None:
        """Points an alias at a version, which is verified first, as a new signed record.

        Args:
            name: the model's.
            alias: a deleted one continues its history.
            version: its number.
            keys: with a key that may sign alias and log records of that name.
            reason: why, for the record, which is stored readable and signed.

        Raises:
            ConflictError: another operator was faster; nothing was changed.
            NoKeyError: no key that may sign alias records.
            RevokedError: that version's content key isn't enabled.
        """
        _ptsecure.set_alias(self._raw, name, alias, version, keys._raw, reason or "")

    def rollback(
        self,
        name: str,
        alias: str | None,
        keys: Keyring,
        *,
        to: int | None = None,
        reason: str | None = None,
    ) -> int:
        """Points an alias back at an earlier version, as a new signed record.

        Args:
            name: the model's.
            alias: None = the model's only one.
            keys: with a key that may sign alias and log records of that name.
            to: the version; None = the one that it pointed at before the present one. Doing so
                again goes back further.
            reason: why, for the record.

        Returns:
            The version it points at now.

        Raises:
            NotFoundError: no such alias or version, or it never pointed at another one.
            RevokedError: that version's content key isn't enabled.
            ConflictError: another operator was faster; nothing was changed.
        """
        if to is not None and to < 1:
            raise InvalidArgumentError(f"to is a version, from 1 on, or None, not {to}")
        return _ptsecure.rollback_alias(
            self._raw, name, text_or_none("alias", alias), to or 0, keys._raw, reason or ""
        )

    def delete_alias(
        self, name: str, alias: str, keys: Keyring, *, reason: str | None = None
    ) -> None:
        """Ends an alias by a signed record that says so; its history stays.

        Raises:
            NotFoundError: there is none, or it was deleted already.
            ConflictError: another operator was faster; nothing was changed.
        """
        _ptsecure.delete_alias(self._raw, name, alias, keys._raw, reason or "")

    def history(self, name: str, alias: str, keys: Keyring) -> Listing[AliasRecord]:
        """Every record of an alias, verified, the oldest first."""
        found = json.loads(_ptsecure.alias_history(self._raw, name, alias, keys._raw))
        return listed(AliasRecord, found)

    def log(self, keys: Keyring, *, first: int = 1, limit: int | None = None) -> Listing[LogRecord]:
        """The store's log of every signed change, verified, the oldest first.

        Args:
            keys: with the public keys of those who publish to the store and operate it.
            first: the number of the first record to give.
            limit: how many at most; None = all.
        """
        if limit == 0:
            return listed(LogRecord, [])
        found = json.loads(_ptsecure.show_log(self._raw, keys._raw, first, limit or 0))
        return listed(LogRecord, found)

    def verify_log(self, keys: Keyring, *, head: str | None = None) -> Listing[Check]:
        """Verifies the whole log: that no record is missing, altered or out of order, that each
        change it announces is in the store, and that nothing is there that it doesn't announce.

        Args:
            keys: as for `log`.
            head: "SEQUENCE:DIGEST" that the log must lead past, as the finding "log head" of an
                earlier call has it in its `detail`. Shows, as the store's state does, that newer
                records were cut off.

        Returns:
            What was looked at.

        Raises:
            RollbackError, UntrustedError, CorruptError: the first check that failed; all of them
                are in the exception's `checks`.
        """
        return checked(_ptsecure.verify_log(self._raw, keys._raw, text_or_none("head", head)))

    def set_key_status(
        self, reference: str, status: KeyStatus, keys: Keyring, *, reason: str | None = None
    ) -> None:
        """Enables, disables or destroys (for good) the content key of a version. Openers refuse a
        key that isn't enabled (RevokedError). The status that it has is signed anew where another
        key than this keyring's had signed it."""
        self._raw.set_key_status(reference, status, keys._raw, reason or "")

    def __repr__(self) -> str:
        state = ": closed" if self.closed else ""
        return f"<ptsecure.Store {self.uri}{state}>"
