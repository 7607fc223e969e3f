"""Holds what is said of options on five surfaces against the defaults in ptsecure.h.

One row an option: the struct and member whose default the INIT macro in ptsecure.h has, that
default, and what each surface must say of it. A surface that says another value, or nothing, is a
finding.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

C = "capi/include/ptsecure/ptsecure.h"
CPP = "capi/include/ptsecure/cpp/"
PY = "bindings/python/ptsecure/"
GO = "bindings/go/"
CLI = "bindings/cli/"

# (struct, member, default in the macro, {file: what it must say})
OPTIONS: list[tuple[str, str, str, dict[str, str]]] = [
    (
        "pts_store_options",
        "connect_timeout_ms",
        "5000",
        {
            C: r"to find a server; default 5000",
            CPP + "store.hpp": r"connect_timeout\{5000\}",
            PY + "store.py": r"connect_timeout: float = 5\.0",
            GO + "options.go": r"finding a server; the default is 5 s",
        },
    ),
    (
        "pts_store_options",
        "operation_timeout_ms",
        "60000",
        {
            C: r"one round trip, not a whole transfer; default 60000",
            CPP + "store.hpp": r"operation_timeout\{60000\}",
            PY + "store.py": r"operation_timeout: float = 60\.0",
            GO + "options.go": r"one round trip, not a whole transfer; the default is 60 s",
        },
    ),
    (
        "pts_publish_options",
        "format",
        "NULL",
        {
            C: r"what the bytes are: torchscript or aotinductor",
            CPP + "store.hpp": r'what the bytes are: "torchscript" or "aotinductor"',
            PY + "store.py": r"what the bytes are",
            GO + "options.go": r"By default it is what the bytes are: torchscript or aotinductor",
            CLI + "publish.cc": r"torchscript or aotinductor \(what the bytes are, if not given\)",
        },
    ),
    (
        "pts_open_options",
        "verify",
        "PTS_VERIFY_SIGNED",
        {
            C: r"PTS_VERIFY_SIGNED \(default\)",
            CPP + "model.hpp": r"verify = Verify::signed_",
            PY + "store.py": r'verify: Verify = "signed"',
            GO + "options.go": r"VerifySigned, the default",
            CLI + "infer.cc": r"signed \(default\) or aead",
        },
    ),
    (
        "pts_apikeys_options",
        "grace_ms",
        "60000",
        {
            C: r"while the store can't be asked; default 60000",
            CPP + "apikey.hpp": r"grace = std::chrono::minutes\(1\)",
            PY + "apikey.py": r"grace: float = 60\.0",
            GO + "apikeys.go": r"while the store can't be asked; 60 s",
        },
    ),
    (
        "pts_apikeys_options",
        "refresh_ms",
        "500",
        {
            C: r"10 to 1000; default 500",
            CPP + "apikey.hpp": r"refresh = std::chrono::milliseconds\(500\)",
            PY + "apikey.py": r"refresh: float = 0\.5",
            GO + "apikeys.go": r"10 ms to 1 s; 500 ms",
        },
    ),
]

# What isn't the default of a member, and must be the same wherever it is said.
PROMISES: list[tuple[str, dict[str, str]]] = [
    (
        "how soon a server refuses an API key that was disabled",
        {
            C: r"refused within 2 s while the store answers",
            PY + "apikey.py": r"refused within two seconds while the store answers",
            GO + "apikeys.go": r"refused within 2 s while the store",
            CLI + "apikeys.cc": r"servers refuse it within 2 s",
        },
    ),
    (
        "what a new keyring may sign",
        {
            C: r"which signs manifests and log records; .* API keys, and log records",
            CLI + "keys.cc": r"manifest.*alias.*API keys.*log",
            PY + "keyring.py": r"manifest.*alias.*API keys.*log",
            GO + "keyring.go": r"manifest.*alias.*API keys.*log",
            CPP + "keyring.hpp": r"pts_keyring_generate",
        },
    ),
]


def prose(file: str) -> str:
    """A file's text in one line, without the marks of comments and of broken strings."""
    text = (ROOT / file).read_text()
    text = re.sub(r'"\s*\n\s*"', "", text)
    return re.sub(r"\s*\n\s*(?:\*(?!/)|//|#)?\s*", " ", text)


def default_of(header: str, struct: str, member: str) -> str | None:
    """What the INIT macro sets a member to."""
    body = re.search(rf"typedef struct {struct} \{{(.*?)\}} {struct};", header, re.DOTALL)
    macro = re.search(rf"#define {struct.upper()}_INIT\s*\\?\s*\{{(.*?)\}}", header, re.DOTALL)
    if body is None or macro is None:
        return None
    members = re.findall(r"(\w+)(?:\[\w+\])?;", re.sub(r"/\*.*?\*/", "", body[1], flags=re.DOTALL))
    values = [value.strip() for value in macro[1].split(",")]
    return dict(zip(members, values, strict=True)).get(member)


def main() -> int:
    header = (ROOT / C).read_text()
    wrong = []
    surfaces = [(f"{struct}.{member}", said) for struct, member, _, said in OPTIONS]
    for struct, member, default, _ in OPTIONS:
        if (found := default_of(header, struct, member)) != default:
            wrong.append(
                f"{struct}.{member} is {found} by default, and tests/prose.py has {default}"
            )
    for what, said in surfaces + PROMISES:
        for file, words in said.items():
            if not re.search(words, prose(file)):
                wrong.append(f"{file} doesn't say of {what}: {words}")
    for sentence in wrong:
        print(sentence)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
