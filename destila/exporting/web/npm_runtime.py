"""The two JavaScript libraries of a web export: from a folder, the cache, or the npm registry.

They are megabytes of other people's code, so they are not part of this package: `npm pack` fetches
them from the registry that the user's npm knows, once, and what comes must be what was tested, to
the last bit.
"""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from destila import hub
from destila.errors import ConfigError

_SECONDS = 600


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """A package of the npm registry, in the one version that was tested.

    Args:
        name: "@huggingface/tokenizers".
        version: "0.2.0".
        sha512: of its tarball, in base64, as package-lock.json has it.
        files: those that a web export needs, by their path in the package.
    """

    name: str
    version: str
    sha512: str
    files: tuple[str, ...]

    @property
    def tarball(self) -> str:
        """The file that `npm pack` writes."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


NPM_PACKAGES = (
    NpmPackage(
        "onnxruntime-web",
        "1.30.0",
        "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
        ("dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"),
    ),
    NpmPackage(
        "@huggingface/tokenizers",
        "0.2.0",
        "LidMHe1FpcSYH4vcSjXooda34pC0M8m1gmDOv7SQi6Iv+ib1zX7J3sHBCC9/3FPCkn2k1b55FneVqMRxrr99pg==",
        ("dist/tokenizers.min.mjs", "LICENSE"),
    ),
)


def web_runtime(folder: str | None = None) -> dict[str, bytes]:
    """Return the files of the libraries, by their name in `runtime/`.

    Args:
        folder: with the tarballs of `npm pack`; None: those in the cache, else npm fetches them.

    Raises:
        ConfigError: a tarball is missing or is not the one that was tested, or npm cannot get it.
    """
    place = Path(folder) if folder else hub.cache_root() / "web"
    contents: dict[str, bytes] = {}
    for package in NPM_PACKAGES:
        if folder is None and not (place / package.tarball).is_file():
            _fetch(package, place)
        contents |= _read(package, place / package.tarball)
    return contents


def _fetch(package: NpmPackage, place: Path) -> None:
    """Let npm write a tarball into the cache."""
    by_hand = (
        f"'npm pack {' '.join(f'{each.name}@{each.version}' for each in NPM_PACKAGES)}' gets the "
        "tarballs where there is a network; give their folder with --web-runtime"
    )
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigError(f"a web export needs npm once, which is not installed. {by_hand}")

    # Beside its place and then moved there, so that a kill leaves no half of it.
    place.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", "--silent", f"{package.name}@{package.version}"]
    with tempfile.TemporaryDirectory(dir=place) as folder:
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise ConfigError(f"npm did not answer within {_SECONDS} seconds. {by_hand}") from None
        if done.returncode:
            reason = " ".join(done.stderr.split())[:200] or "it gave no reason"
            raise ConfigError(f"npm could not get {package.name} ({reason}). {by_hand}")
        (Path(folder) / package.tarball).replace(place / package.tarball)


def _read(package: NpmPackage, tarball: Path) -> dict[str, bytes]:
    """Return the needed files of a tarball."""
    if not tarball.is_file():
        raise ConfigError(
            f"there is no {tarball}: 'npm pack {package.name}@{package.version}' writes it"
        )

    # A tarball that npm, a mirror or anybody else has changed is not opened.
    content = tarball.read_bytes()
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if digest != package.sha512:
        raise ConfigError(
            f"{tarball} is not {package.name} {package.version} as it was tested (sha512 "
            f"{digest[:12]}..., not {package.sha512[:12]}...): delete it and try again"
        )

    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for path in package.files:
            member = archive.extractfile(f"package/{path}")
            assert member is not None, path
            name = Path(path).name
            if name == "LICENSE":
                name = f"LICENSE-{package.tarball.removesuffix('.tgz')}"
            files[name] = member.read()
    return files
