"""Push: a trained encoder and its card to the Hugging Face hub."""

import logging

from hbr.core.errors import UserError, first_line
from hbr.core.store import Store
from hbr.models.sources import SUFFIXES

logger = logging.getLogger(__name__)

REFUSED = {
    401: "the hub refuses the token: log in again with `hf auth login`, or set another HF_TOKEN",
    403: "the token may not write to {}: give it write access, or name a repository of yours",
    404: "the hub knows no {}, or not this --revision, or the token may not see it",
}


def push(run: Store, repo: str, *, private: bool = False, revision: str | None = None) -> str:
    """Upload a run's `model/` folder to a repository of the hub; return its address.

    The repository and the branch `revision` are created where they do not exist. HF_ENDPOINT names
    the hub, HF_TOKEN the user. Raises UserError: exit code 2 for a mistake of the user, 1 where the
    network or the hub fails.
    """
    from huggingface_hub import HfApi

    _check(run, repo)
    folder, api = run.path / "model", HfApi()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    logger.info(f"uploading {size / 1e6:,.1f} MB to {repo}")
    try:
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise UserError(f"{repo} is public: make it private on the hub, or leave out --private")
        if revision and not revision.startswith("refs/"):
            api.create_branch(repo, branch=revision, exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            revision=revision,
            commit_message=f"{run.path.resolve().name} ({run.completion('train')})",
            ignore_patterns=[".*"],
            delete_patterns=[f"*{suffix}" for suffix in sorted(SUFFIXES)],  # of an earlier upload
        )
    except UserError:
        raise
    except Exception as error:  # the hub's many kinds of "no"
        raise _user_error(error, repo) from error
    return f"{api.endpoint}/{repo}" + (f"/tree/{revision}" if revision else "")


def _check(run: Store, repo: str) -> None:
    from huggingface_hub import get_token
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    if "train" not in run.entries():
        again = f"`hbr train -C {run.path / 'config.yaml'}`"
        raise UserError(f"{run.path} is not trained yet; go on with {again}")
    try:
        validate_repo_id(repo if "/" in repo else "/")
    except HFValidationError as error:
        form = "ORG/NAME, of letters, digits, '-', '_' and '.'"
        raise UserError(f"--repo {repo!r}: write it as {form}") from error
    if get_token() is None:
        raise UserError(
            "there is no token for the hub: log in with `hf auth login`, or set HF_TOKEN"
        )


def _user_error(error: BaseException, repo: str) -> UserError:
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return UserError("HF_HUB_OFFLINE forbids it: unset it, where there is network, to push")
    while error.__cause__ and not isinstance(error, HfHubHTTPError):
        error = error.__cause__
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if status in REFUSED:
        return UserError(REFUSED[status].format(repo))
    why = getattr(error, "server_message", None) or first_line(error)
    return UserError(f"{repo} could not be uploaded: {why}; see to the network and try again", 1)
