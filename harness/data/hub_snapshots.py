"""Files of the hub's models, fetched into the cache that every library reads."""

from __future__ import annotations

from pathlib import Path

from harness.core.errors import cannot_load
from harness.core.hub_models import pretrained

#: What nothing here reads: the same weights in other formats.
_OTHER_FORMATS = ["original/*", "onnx/*", "*.gguf", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.tflite", "consolidated*"]
_PICKLED = ["*.bin", "*.pt", "*.pth"]


def fetch_model(model: str) -> int:
    """Have all files of a model of the hub that are read here in the hub's cache; returns their bytes.

    What is in the cache is not fetched again. Pickled weights are left out where there are others.

    Raises:
        UserError: where it cannot be fetched.
    """
    from huggingface_hub import HfApi, snapshot_download

    which = pretrained(model)
    repo, revision = which["pretrained_model_name_or_path"], which.get("revision")
    try:
        files = HfApi().list_repo_files(repo, revision=revision)
        twice = _PICKLED if any(file.endswith(".safetensors") for file in files) else []
        folder = snapshot_download(repo, revision=revision, ignore_patterns=_OTHER_FORMATS + twice)
    except Exception as error:  # the hub's library raises its own, its HTTP library's and the system's
        raise cannot_load(model, error) from error
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
