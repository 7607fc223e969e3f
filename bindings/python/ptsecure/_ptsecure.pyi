"""The raw layer; see src/."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

OnProgress = Callable[[int, int], object] | None
ReadAt = Callable[[int, memoryview], None]
Findings = tuple[list[tuple[str, int, str]], int, str]

version: str

def features() -> str: ...
def set_error_classes(by_status: Sequence[type[Exception]]) -> None: ...
def status_name(status: int) -> str: ...

class Bytes:
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __len__(self) -> int: ...

class Keyring:
    @staticmethod
    def load(path: str, passphrase: str, allow_group_read: bool, /) -> Keyring: ...
    @staticmethod
    def parse(json: bytes, passphrase: str, /) -> Keyring: ...
    @staticmethod
    def from_env(variable: str, passphrase: str, /) -> Keyring: ...
    @staticmethod
    def generate() -> Keyring: ...
    def split(self, role: str, /) -> Keyring: ...
    def public(self) -> Keyring: ...
    def save(self, path: str, passphrase: str, /) -> None: ...
    def export(self) -> Bytes: ...
    def describe(self) -> str: ...

class Deadline:
    """Begins when it is made; None = no limit."""

    def __init__(self, timeout: float | None, /) -> None: ...

class OpenOptions:
    def __init__(
        self,
        *,
        verify: str,
        device: str,
        intra_op_threads: int,
        warm_up_runs: int,
        optimize: str,
        torch_dir: str,
        manifest: str,
        min_sequence: int,
        max_age: int,
    ) -> None: ...

class PublishOptions:
    def __init__(
        self,
        *,
        format: str,
        alias: str,
        labels: Mapping[str, str],
        sample: tuple[Any, ...] | None,
        sample_json: str,
        weights_of: str,
        torch_dir: str,
    ) -> None: ...

class Source:
    """Keeps what is added alive."""

    def __init__(self) -> None: ...
    def add_file(self, file: str, /) -> None: ...
    def add_bytes(self, data: memoryview, /) -> None: ...
    def add_gridfs(self, *, uri: str, bucket: str, filename: str, id: str) -> None: ...
    def add_reader(self, size: int, read: ReadAt, /) -> None: ...

class ImportOptions:
    def __init__(self, *, jwk: bytes, jwk_source: Source | None, sha256: str) -> None: ...

class Model:
    def infer(
        self,
        positional: tuple[Any, ...],
        named: dict[str, Any],
        method: str | None,
        limit: Deadline | None,
        /,
    ) -> Any: ...
    def infer_json(self, request: bytes, method: str, limit: Deadline | None, /) -> str: ...
    def infer_v1(self, request: bytes, method: str, limit: Deadline | None, /) -> str: ...
    def infer_v2(
        self, body: memoryview, json_size: int, method: str, limit: Deadline | None, /
    ) -> tuple[Bytes, int]: ...
    def fork(self, limit: Deadline | None, /) -> Model: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    def metadata(self) -> str: ...
    def example(self) -> str: ...

class Package:
    def load(
        self, options: OpenOptions, output: str, limit: Deadline, on_progress: OnProgress, /
    ) -> Model: ...
    def swap(
        self, running: Model, options: OpenOptions, limit: Deadline, on_progress: OnProgress, /
    ) -> Model: ...
    def decrypt(
        self, options: OpenOptions, limit: Deadline, on_progress: OnProgress, /
    ) -> Bytes: ...
    def stream(
        self,
        write: Callable[[memoryview], object],
        options: OpenOptions,
        limit: Deadline,
        on_progress: OnProgress,
        /,
    ) -> None: ...
    def export(
        self, folder: str, options: OpenOptions, limit: Deadline, on_progress: OnProgress, /
    ) -> None: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def size(self) -> int: ...
    def manifest(self) -> str: ...
    def example(self) -> str: ...

def publish(
    store: Store,
    name: str,
    source: Source,
    keys: Keyring,
    options: PublishOptions,
    limit: Deadline,
    on_progress: OnProgress,
    /,
) -> int: ...
def import_jwe(
    store: Store,
    name: str,
    source: Source,
    keys: Keyring,
    opening: ImportOptions,
    options: PublishOptions,
    limit: Deadline,
    on_progress: OnProgress,
    /,
) -> int: ...
def copy(
    store: Store,
    reference: str,
    keys: Keyring,
    target: Store,
    target_keys: Keyring,
    options: PublishOptions,
    limit: Deadline,
    on_progress: OnProgress,
    /,
) -> int: ...
def list_aliases(store: Store, name: str, keys: Keyring, limit: Deadline, /) -> str: ...
def show_alias(store: Store, name: str, alias: str, keys: Keyring, limit: Deadline, /) -> str: ...
def alias_history(
    store: Store, name: str, alias: str, keys: Keyring, limit: Deadline, /
) -> str: ...
def set_alias(
    store: Store,
    name: str,
    alias: str,
    version: int,
    keys: Keyring,
    reason: str,
    limit: Deadline,
    /,
) -> None: ...
def rollback_alias(
    store: Store,
    name: str,
    alias: str,
    version: int,
    keys: Keyring,
    reason: str,
    limit: Deadline,
    /,
) -> int: ...
def delete_alias(
    store: Store, name: str, alias: str, keys: Keyring, reason: str, limit: Deadline, /
) -> None: ...
def set_key_status(
    store: Store, reference: str, status: str, keys: Keyring, reason: str, limit: Deadline, /
) -> None: ...
def show_log(store: Store, keys: Keyring, first: int, count: int, limit: Deadline, /) -> str: ...
def verify_log(store: Store, keys: Keyring, head: str, limit: Deadline, /) -> Findings: ...
def default_state_path() -> str: ...
def show_state(path: str, /) -> str: ...
def reset_state(path: str, store: str, /) -> None: ...
def create_apikey(
    store: Store,
    keys: Keyring,
    limit: Deadline,
    /,
    *,
    owner: str,
    models: Sequence[str],
    scopes: int,
    rate: float,
    burst: int,
    bytes_rate: int,
    not_before: int,
    expires: int,
    reason: str,
) -> tuple[str, str]: ...
def rotate_apikey(
    store: Store, keys: Keyring, id: str, grace: int, reason: str, limit: Deadline, /
) -> tuple[str, str]: ...
def set_apikey_state(
    store: Store, keys: Keyring, id: str, state: str, reason: str, limit: Deadline, /
) -> None: ...
def show_apikey(store: Store, keys: Keyring, id: str, limit: Deadline, /) -> str: ...
def list_apikeys(store: Store, keys: Keyring, limit: Deadline, /) -> str: ...

class ApiKeys:
    @staticmethod
    def open(
        store: Store, keys: Keyring, grace: float, refresh: float, limit: Deadline, /
    ) -> ApiKeys: ...
    def check(
        self,
        presented: str,
        model: str,
        scope: int,
        counted: bool,
        nbytes: int,
        limit: Deadline | None,
        /,
    ) -> tuple[int, str, str, str, int]: ...
    def charge(self, id: str, nbytes: int, /) -> None: ...
    def usage(self) -> str: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...

class Store:
    @staticmethod
    def open(
        uri: str,
        /,
        *,
        connect_timeout: float,
        operation_timeout: float,
        threads: int,
        log: Callable[[int, str], object] | None,
        state: str,
    ) -> Store: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def uri(self) -> str: ...
    def describe(self, limit: Deadline, /) -> str: ...
    def list(self, after: str, count: int, limit: Deadline, /) -> str: ...
    def list_versions(self, name: str, before: int, count: int, limit: Deadline, /) -> str: ...
    def show(self, reference: str, keys: Keyring, limit: Deadline, /) -> str: ...
    def verify(
        self,
        reference: str,
        keys: Keyring,
        options: OpenOptions,
        limit: Deadline,
        on_progress: OnProgress,
        /,
    ) -> Findings: ...
    def fetch(
        self, reference: str, keys: Keyring, options: OpenOptions, limit: Deadline, /
    ) -> Package: ...
    def load(
        self,
        reference: str,
        keys: Keyring,
        options: OpenOptions,
        output: str,
        limit: Deadline,
        on_progress: OnProgress,
        /,
    ) -> Model: ...
