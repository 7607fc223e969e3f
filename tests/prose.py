"""Holds what is said of options on five surfaces against ptsecure.h and against each other.

tests/options.toml says of each option what its default is and what each surface must say of it, at
its own place: the comment of the struct's member, the doc comment of the Go function, the
parameter's entry in the docstring, the help of the command's option. Whatever is said otherwise
there, or not at all, is a finding; so is an option that the table doesn't have.
"""

import ast
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADER = "capi/include/ptsecure/ptsecure.h"
SURFACES = {
    "cpp": "capi/include/ptsecure/cpp",
    "python": "bindings/python/ptsecure",
    "go": "bindings/go",
    "cli": "bindings/cli",
}
# Structs that callers fill in to say how something is done.
STRUCTS = re.compile(r"pts_(\w+_options|call|gridfs_file|apikey_request)")
# Members that are no options of their own.
PARTS = re.compile(r"struct_size|reserved|label_values|\w+_(count|user)|jwk_size")

# What isn't of one option, and must be the same wherever it is said: what, and a pattern a file.
PROMISES: list[tuple[str, dict[str, str]]] = [
    (
        "how soon a server refuses an API key that was disabled",
        {
            "capi/include/ptsecure/ptsecure.h": r"refused within 2 s while the store answers",
            "bindings/python/ptsecure/apikey.py": r"refused within two seconds while the store",
            "bindings/go/apikeys.go": r"refused within 2 s while the store",
            "bindings/cli/apikeys.cc": r"servers refuse it within 2 s",
            "docs/operations.md": r"every server within two seconds",
            "examples/go-chi/README.md": r"here within two seconds",
            "CHANGELOG.md": r"other processes' changes reach within two seconds",
        },
    ),
    (
        "what a new keyring may sign",
        {
            "capi/include/ptsecure/ptsecure.h": r"manifests and log records; .* API keys, and log",
            "bindings/cli/keys.cc": r"manifest.*alias.*API keys.*log",
            "bindings/python/ptsecure/keyring.py": r"manifest.*alias.*API keys.*log",
            "bindings/go/keyring.go": r"manifest.*alias.*API keys.*log",
            "capi/include/ptsecure/cpp/keyring.hpp": r"pts_keyring_generate",
        },
    ),
]


def one_line(text: str) -> str:
    """Without the marks of comments and of broken strings."""
    text = re.sub(r'"\s*\n\s*"', "", text)
    text = re.sub(r"\s*\n\s*(?:\*(?!/)|//|/\*|#)?\s*", " ", text)
    return re.sub(r"\s+", " ", text)


# --- ptsecure.h


def structs(header: str) -> dict[str, str]:
    found = re.findall(r"typedef struct (pts_\w+) \{\n(.*?)\n\} \1;", header, re.DOTALL)
    return {name: body for name, body in found if STRUCTS.fullmatch(name)}


def members(body: str) -> dict[str, str]:
    """Each with its comment, before it or behind it."""
    out: dict[str, str] = {}
    before, last = "", ""
    for found in re.finditer(r"/\*(.*?)\*/|([^;/]+);([ \t]*)", body, re.DOTALL):
        comment, declaration = found[1], found[2]
        if declaration is not None:
            last = re.findall(r"(\w+)(?:\[\w+\])?$", declaration.strip())[0]
            out[last] = before
            before = ""
        elif "\n" in body[: found.start()].rpartition(";")[2] or not last:
            before = comment
        else:
            out[last] += comment
    return out


def defaults(header: str, struct: str, names: list[str]) -> dict[str, str]:
    macro = re.search(rf"#define {struct.upper()}_INIT\s*\\?\s*\{{(.*?)\}}", header, re.DOTALL)
    if macro is None:
        return {}
    return dict(zip(names, [each.strip() for each in macro[1].split(",")], strict=False))


# --- the others: the text at a place, None where there is no such place


def cpp_text(text: str, place: str) -> str | None:
    if parameter := re.fullmatch(r"(\w+)\((\w+)\)", place):
        found = re.search(rf"\b{parameter[1]}\(([^{{;]*?\b{parameter[2]}\b[^{{;]*)\{{", text)
        return found and found[1]
    struct, member = place.split(".")
    body = re.search(rf"^struct {struct} \{{\n(.*?)^\}};", text, re.DOTALL | re.MULTILINE)
    pattern = rf"((?:^ *//[^\n]*\n)*^ [^;/]*\b{member}\b[^;]*;[^\n]*(?:\n {{20,}}//[^\n]*)*)"
    found = body and re.search(pattern, body[1], re.MULTILINE)
    return found and found[1]


def go_text(text: str, place: str) -> str | None:
    if "." not in place:
        found = re.search(rf"((?:^//[^\n]*\n)+)^func {place}\(", text, re.MULTILINE)
        return found and found[1]
    struct, member = place.split(".")
    body = re.search(rf"^type {struct} struct \{{\n(.*?)^\}}", text, re.DOTALL | re.MULTILINE)
    found = body and re.search(rf"^(\t{member}\b[^\n]*)", body[1], re.MULTILINE)
    return found and found[1]


def cli_text(text: str, place: str) -> str | None:
    """Of all options of that name; names of texts are looked up."""
    literal = r'"(?:[^"\\]|\\.)*"'
    line = one_line(text)
    constants = dict(re.findall(rf"char\* (k\w+) = ({literal})", line))
    pattern = rf'add_(?:option|flag)\( ?"{place}", [^,]+, ({literal}|k\w+)'
    found = re.findall(pattern, line)
    return " ".join(constants.get(each, each) for each in found) if found else None


def definition(tree: ast.Module, path: list[str]) -> ast.FunctionDef | ast.ClassDef | None:
    found: ast.Module | ast.FunctionDef | ast.ClassDef = tree
    for name in path:
        inner = [
            node
            for node in found.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
        ]
        if not inner:
            return None
        found = inner[0]
    return None if isinstance(found, ast.Module) else found


def parameter_text(function: ast.FunctionDef, docstring: str, name: str) -> str | None:
    arguments = function.args
    positional = arguments.posonlyargs + arguments.args
    pairs = list(zip(positional[::-1], arguments.defaults[::-1], strict=False))
    pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d]
    if name not in [each.arg for each in positional + arguments.kwonlyargs]:
        return None
    default = next((f"= {ast.unparse(d)}" for a, d in pairs if a.arg == name), "")
    entry = re.search(
        rf"^( *)(?:\w+, )*{name}(?:, \w+)*:(.*(?:\n\1 +.*)*)", docstring, re.MULTILINE
    )
    return f"{default} {entry[2] if entry else ''}"


def python_text(text: str, place: str) -> str | None:
    tree = ast.parse(text)
    if called := re.fullmatch(r"([\w.]+)\((\w+)\)", place):
        path = called[1].split(".")
        function = definition(tree, path)
        if not isinstance(function, ast.FunctionDef):
            return None
        docstring = ast.get_docstring(function) or ""
        if path[-1] == "__init__":  # its class tells
            owner = definition(tree, path[:-1])
            docstring = (owner and ast.get_docstring(owner)) or ""
        return parameter_text(function, docstring, called[2])
    name, attribute = place.split(".")
    owner = definition(tree, [name])
    body = owner.body if owner else []
    for at, node in enumerate(body):
        if not isinstance(node, ast.AnnAssign) or ast.unparse(node.target) != attribute:
            continue
        told = body[at + 1] if at + 1 < len(body) else None
        words = told.value if isinstance(told, ast.Expr) else None
        said = str(words.value) if isinstance(words, ast.Constant) else ""
        return f"= {ast.unparse(node.value)} {said}" if node.value else said
    return None


TEXTS = {"cpp": cpp_text, "python": python_text, "go": go_text, "cli": cli_text}


# --- the checks


def check_option(
    root: pathlib.Path, name: str, said: dict[str, list[str]], comment: str
) -> list[str]:
    wrong = []
    places = {"c": ("ptsecure.h", comment, said["c"])}
    for surface, read in TEXTS.items():
        if surface not in said:
            continue
        file, place, *patterns = said[surface]
        text = read((root / SURFACES[surface] / file).read_text(), place)
        if text is None:
            wrong.append(f"{name}: {file} has no {place}, where tests/options.toml looks for it")
            continue
        places[surface] = (f"{file}, {place},", text, patterns)
    for where, text, patterns in places.values():
        missing = [each for each in patterns if not re.search(each, one_line(text))]
        wrong += [f"{name}: {where} doesn't say: {each}" for each in missing]
    return wrong


def check_all_are_listed(
    root: pathlib.Path, table: dict[str, dict[str, dict[str, list[str]]]]
) -> list[str]:
    """Go's options and the members of C++'s option structs have a row each."""
    rows = [said for options in table.values() for said in options.values()]
    listed = {surface: {row[surface][1] for row in rows if surface in row} for surface in TEXTS}
    wrong = []
    for path in (root / SURFACES["go"]).glob("*.go"):
        for name in re.findall(r"^func (With\w+)\(", path.read_text(), re.MULTILINE):
            if name not in listed["go"]:
                wrong.append(f"{path.name}: {name} has no row in tests/options.toml")
    for path in (root / SURFACES["cpp"]).glob("*.hpp"):
        pattern = r"^struct (\w+Options|Call) \{\n(.*?)^\};"
        for struct, body in re.findall(pattern, path.read_text(), re.DOTALL | re.MULTILINE):
            plain = re.sub(r"//[^\n]*", "", body)
            for member in re.findall(r"(\w+)(?: = [^;]*|\{[^;]*)?;", plain):
                if f"{struct}.{member}" not in listed["cpp"]:
                    wrong.append(f"{path.name}: {struct}.{member} has no row in tests/options.toml")
    return wrong


def findings(root: pathlib.Path) -> list[str]:
    header = (root / HEADER).read_text()
    table = tomllib.loads((root / "tests" / "options.toml").read_text())
    wrong = check_all_are_listed(root, table)
    for struct, body in structs(header).items():
        comments = members(body)
        values = defaults(header, struct, list(comments))
        options = table.pop(struct, {})
        for member, comment in comments.items():
            name = f"{struct}.{member}"
            if PARTS.fullmatch(member):
                continue
            if member not in options:
                wrong.append(f"{name} has no row in tests/options.toml")
                continue
            said = options.pop(member)
            if values.get(member) != said["default"]:
                wrong.append(f"{name} is {values.get(member)} by default, not {said['default']}")
            wrong += check_option(root, name, said, comment)
        wrong += [f"{struct}.{member} isn't in ptsecure.h" for member in options]
    wrong += [f"{struct} isn't in ptsecure.h" for struct in table]
    for what, files in PROMISES:
        for file, words in files.items():
            if not re.search(words, one_line((root / file).read_text())):
                wrong.append(f"{file} doesn't say of {what}: {words}")
    return wrong


if __name__ == "__main__":
    found = findings(ROOT)
    print("\n".join(found), end="\n" if found else "")
    sys.exit(bool(found))
