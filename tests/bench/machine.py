"""What the figures were measured on."""

import datetime
import json
import os
import pathlib
import platform
import re
import subprocess


def cpu_model() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def flags() -> set[str]:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()


def torch_version() -> str:
    file = pathlib.Path(os.environ.get("PTSECURE_TORCH_DIR", "")) / "version.py"
    found = re.search(r"__version__ = '([^']+)'", file.read_text()) if file.exists() else None
    return found[1] if found else "unknown"


def aes_kind(openssl: str) -> str:
    """OpenSSL has AES-GCM with VAES since 3.1, for processors that have AVX-512 too."""
    major, minor = openssl.split(".")[:2]
    able = {"vaes", "vpclmulqdq", "avx512f"} <= flags()
    if able and (int(major), int(minor)) >= (3, 1):
        return "VAES"
    return "AES-NI without VAES" + (" (this processor has VAES)" if able else "")


def transparent_huge_pages() -> str:
    try:
        text = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return "none"
    found = re.search(r"\[(\w+)\]", text)
    return found[1] if found else "?"


def floor(one_core: dict[str, float], cores: int, size: int) -> dict[str, float]:
    """Seconds that an open of so many bytes can't do without, by level: out of the page cache, into
    memory touched for the first time in huge pages, decrypted, hashed; on all cores."""
    steps = {"aead": ["page_cache", "touch_huge", "aes_gcm"]}
    steps["signed"] = [*steps["aead"], "segment_digest"]
    return {
        level: sum(size / one_core[step] for step in each) / cores for level, each in steps.items()
    }


def code() -> str:
    """Which code was measured when."""
    command = ["git", "describe", "--always", "--dirty"]
    here = pathlib.Path(__file__).parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    commit = done.stdout.strip() or "unknown"
    return f"measured on {datetime.date.today()}, commit {commit}"


def describe(program: pathlib.Path, folder: pathlib.Path, model: str, size: int) -> list[str]:
    """Lines about the machine. `program` measures what one core does."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    cores = len(os.sched_getaffinity(0))
    pages = transparent_huge_pages()
    done = subprocess.run([program, folder], capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    openssl = measured.pop("openssl")
    gb = {name: f"{value / 1e9:.1f} GB/s" for name, value in measured.items()}
    least = {level: f"{value:.3f} s" for level, value in floor(measured, cores, size).items()}
    return [
        f"{cpu_model()}, {cores} cores, {memory:.0f} GiB, transparent huge pages: {pages}",
        f"OpenSSL {openssl} ({aes_kind(openssl)}): AES-256-GCM {gb['aes_gcm']} a core; SHA-256 of "
        f"segments {gb['segment_digest']}, {gb['sha256_openssl']} by OpenSSL alone",
        f"one core reads the page cache at {gb['page_cache']}, copies memory at {gb['copy']}, "
        f"touches new memory at {gb['touch_huge']} in huge pages, {gb['touch_small']} in small",
        f"so an open of {model} can't take less than {least['aead']} (aead) or {least['signed']} "
        "(signed), all cores busy with nothing else",
        f"libtorch {torch_version()}, Linux {platform.release()}, load when it began: {load}",
        code(),
    ]
