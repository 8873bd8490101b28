"""GGUF files of a model hub: `hf:owner/repository/file.gguf`."""

from pathlib import Path

from dmoa.errors import LLMUnavailable, UsageError


def fetch(name: str) -> Path:
    """The local copy of `owner/repository/file.gguf`, fetched when it is not here.

    Raises:
        UsageError: the name makes no sense, or `huggingface_hub` is not installed.
        LLMUnavailable: the hub does not give it.
    """
    owner, _, rest = name.partition("/")
    repository, _, file = rest.partition("/")
    if not (owner and repository and file.endswith(".gguf")):
        raise UsageError(f"hf:{name} names no file; write hf:OWNER/REPOSITORY/FILE.gguf")
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise UsageError("hf: names need pip install 'dmoa[hub]'") from None
    try:
        return Path(hf_hub_download(f"{owner}/{repository}", file))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise LLMUnavailable(
            f"the hub does not give {file} of {owner}/{repository}: {str(error)[:300]};"
            " check the name and the connection, or give a file by --llm PATH"
        ) from None
