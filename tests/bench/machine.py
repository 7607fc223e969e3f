"""What the figures were measured on."""

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


def rate(algorithm: list[str]) -> str:
    """GB/s of one core on blocks of 1 MiB, by the openssl command."""
    command = ["openssl", "speed", "-mr", "-seconds", "1", "-bytes", "1048576", *algorithm]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "?"
    found = re.search(r"^\+F:\d+:[^:]+:([\d.]+)", done.stdout, re.MULTILINE)
    return f"{float(found[1]) / 1e9:.1f} GB/s" if found else "?"


def torch_version() -> str:
    file = pathlib.Path(os.environ.get("PTSECURE_TORCH_DIR", "")) / "version.py"
    found = re.search(r"__version__ = '([^']+)'", file.read_text()) if file.exists() else None
    return found[1] if found else "unknown"


def openssl_version() -> str:
    try:
        done = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "OpenSSL ?"
    return " ".join(done.stdout.split()[:2])


def aes_kind() -> str:
    """OpenSSL has AES-GCM with VAES since 3.1, for processors that have AVX-512 too."""
    found = re.search(r"(\d+)\.(\d+)", openssl_version())
    new = found is not None and (int(found[1]), int(found[2])) >= (3, 1)
    able = {"vaes", "vpclmulqdq", "avx512f"} <= flags()
    if new and able:
        return "VAES"
    return "AES-NI without VAES" + (" (this processor has VAES)" if able else "")


def transparent_huge_pages() -> str:
    try:
        text = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return "none"
    found = re.search(r"\[(\w+)\]", text)
    return found[1] if found else "?"


def block_digest_rate(build: pathlib.Path) -> str:
    """GB/s of one core, hashing several pieces of a block at once where it can."""
    program = build / "bench" / "bin" / "bench_digest"
    try:
        done = subprocess.run([program], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "?"
    rates = json.loads(done.stdout)
    lanes, alone = rates["block_digest"] / 1e9, rates["by_openssl"] / 1e9
    return f"{lanes:.1f} GB/s a core, {alone:.1f} by OpenSSL"


def describe(build: pathlib.Path) -> list[str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    cores = len(os.sched_getaffinity(0))
    aes = rate(["-evp", "aes-256-gcm"])
    sha = rate(["-evp", "sha256"])
    blocks = block_digest_rate(build)
    pages = transparent_huge_pages()
    return [
        f"{cpu_model()}, {cores} cores, {memory:.0f} GiB, transparent huge pages: {pages}",
        f"{openssl_version()} ({aes_kind()}): AES-256-GCM {aes}, SHA-256 {sha} a core",
        f"SHA-256 of blocks, two or more pieces at once where libIPSec_MB is: {blocks}",
        f"libtorch {torch_version()}, Linux {platform.release()}, load when it began: {load}",
    ]
