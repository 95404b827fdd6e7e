"""An exported folder as a data set of the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from harness.core.errors import UserError, one_line

#: Seconds that the hub may be silent.
_SILENT_S = 120.0
_TO = re.compile(r"hub:([A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_.-]{1,96})")


def hub_repository(to: str) -> str:
    """The ``owner/name`` that ``hub:owner/name`` names.

    Raises:
        UserError: for anything else.
    """
    match = _TO.fullmatch(to)
    if match is None:
        raise UserError(f"--to {to}: hub:OWNER/NAME is expected, for instance hub:my-team/gsm8k-candidates")
    return match[1]


def upload(folder: Path, repository: str) -> str:
    """Put a folder into a data set of the hub, a new and private one where there is none; returns its address.

    Raises:
        UserError: where the hub cannot be reached or refuses. The folder stays.
    """
    from huggingface_hub import HfApi, get_session

    hub = HfApi()
    try:
        get_session().timeout = _SILENT_S  # else the library waits for ever
        made = hub.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        hub.upload_folder(
            repo_id=repository, folder_path=folder, repo_type="dataset", commit_message="Exported by BonBench"
        )
    except Exception as error:  # the hub's library raises its own, its HTTP library's and the system's
        raise UserError(
            f"--to hub:{repository}: not uploaded: {one_line(error)}; {folder} is complete: once `hf auth login` has a "
            f"token that may write there, `hf upload {repository} {folder} --repo-type dataset`"
        ) from error
    return str(made)
