"""Downloads from the Hugging Face hub: it tells names and checksums, `fetch` brings the files."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hbr.core.errors import UserError, first_line
from hbr.core.registry import near
from hbr.data.fetch import Remote, fetch

logger = logging.getLogger(__name__)

REFUSED = {
    401: "accept its terms at {0}, if it has any, and log in with `hf auth login`",
    403: "accept its terms at {0}, or set an HF_TOKEN that may read it",
    404: "the hub knows no such data set",
}


class Snapshot(NamedTuple):
    """Files of a data set on the hub: patterns of their names, in them `{0}` for a language."""

    repo: str
    patterns: tuple[str, ...]
    languages: Mapping[str, str] = {}

    def wanted(self, chosen: Sequence[str] | None) -> list[str]:
        """Return the patterns for some languages, or for all."""
        for code in chosen or ():
            if self.languages and code not in self.languages:
                raise UserError(f"{self.repo} has no {code!r}{near(code, self.languages)}")
        words = [self.languages[code] for code in chosen or self.languages if self.languages]
        named = (p.format(w) for p in self.patterns if "{0}" in p for w in words)
        return [*(p for p in self.patterns if "{0}" not in p), *named]


def fetch_snapshots(
    name: str, snapshots: Sequence[Snapshot], folder: Path, languages: Sequence[str] | None = None
) -> Path:
    """Bring a data set's files to `folder/ORG/REPO`; give that, or of several repositories ORG.

    Raises UserError (exit code 1) where they cannot be had.
    """
    for snapshot in snapshots:
        patterns = snapshot.wanted(languages)
        place = folder / snapshot.repo
        mark = place / f".whole-{hashlib.sha256(repr(patterns).encode()).hexdigest()[:8]}"
        if not mark.exists():
            commit, files = _listed(name, snapshot.repo, patterns)
            _bring(name, snapshot.repo, files, place)
            mark.write_text(f"{commit}\n")
    place = folder / snapshots[0].repo
    return place if len(snapshots) == 1 else place.parent


def _listed(name: str, repo: str, patterns: list[str]) -> tuple[str, dict[str, Remote]]:
    """Ask the hub for the newest commit of a data set, and its files that fit some patterns."""
    from huggingface_hub import HfApi, get_token, hf_hub_url
    from huggingface_hub.utils import filter_repo_objects

    api = HfApi(library_name="hbr")
    try:
        about = api.dataset_info(repo, files_metadata=True)
    except Exception as error:  # the hub's many kinds of "no"
        raise _refusal(name, repo, _reason(error, repo)) from error
    known = {file.rfilename: file for file in about.siblings or ()}
    found = list(filter_repo_objects(known, allow_patterns=patterns))
    if not found or any(".." in PurePosixPath(file).parts for file in found):
        raise _refusal(name, repo, "its files are not the ones that hbr knows")
    files = {}
    for file in found:
        lfs, blob = known[file].lfs, known[file].blob_id
        url = hf_hub_url(about.id, file, repo_type="dataset", revision=about.sha)
        checksum = f"sha256:{lfs.sha256}" if lfs else f"git:{blob}"
        files[file] = Remote(url, checksum, token=get_token() or "")
    size = sum(known[file].size or 0 for file in found) / 1e9
    logger.info(f"{repo} at {str(about.sha)[:12]}: {len(found)} files, {size:,.1f} GB")
    return str(about.sha), files


def _bring(name: str, repo: str, files: Mapping[str, Remote], place: Path) -> None:
    try:
        fetch(name, files, place)
    except UserError as error:
        code = getattr(error.__cause__, "code", 0)
        if code in REFUSED:
            raise _refusal(name, repo, _told(code, repo)) from error
        raise


def _refusal(name: str, repo: str, reason: str) -> UserError:
    advice = "or say --source FOLDER with its files"
    return UserError(f"{name} cannot be downloaded from {repo} ({reason}); {advice}", exit_code=1)


def _told(code: int, repo: str) -> str:
    from huggingface_hub import constants

    return REFUSED[code].format(f"{constants.ENDPOINT}/datasets/{repo}")


def _reason(error: Exception, repo: str) -> str:
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids it: unset it where there is network"
    code = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    return _told(code, repo) if code in REFUSED else first_line(error)
