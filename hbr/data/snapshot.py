"""Files of data sets on the Hugging Face hub: which there are; huggingface_hub downloads them."""

import hashlib
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hbr.core.errors import UserError, first_line
from hbr.core.registry import near
from hbr.data.fetch import checksum

logger = logging.getLogger(__name__)

REFUSALS = {  # by HTTP status
    401: "accept its terms at {0}, if it has any, and log in with `hf auth login`",
    403: "accept its terms at {0}, or set an HF_TOKEN that may read it",
    404: "the hub knows no such data set",
}


class Snapshot(NamedTuple):
    """Files of a data set on the hub: patterns of their names, in them `{0}` for a language."""

    repo: str
    patterns: tuple[str, ...]
    languages: Mapping[str, str] = {}
    revision: str = "main"

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
    """Download a data set's files to `folder/ORG/REPO`; return that, or of several ORG.

    The commit that they are from is kept beside them. Raises UserError (exit code 1) where they
    cannot be had.
    """
    for snapshot in snapshots:
        patterns = snapshot.wanted(languages)
        place = folder / snapshot.repo
        mark = place / f".whole-{hashlib.sha256(repr(patterns).encode()).hexdigest()[:8]}"
        if not mark.exists():
            try:
                commit = _download(snapshot, patterns, place)
            except Exception as error:  # the hub's many kinds of "no"
                reason = _reason(error, snapshot.repo)
                raise UserError(
                    f"{name} cannot be downloaded from {snapshot.repo} ({reason}); "
                    "or name a folder with its files: --source FOLDER",
                    exit_code=1,
                ) from error
            mark.write_text(f"{commit}\n", "utf-8")
    place = folder / snapshots[0].repo
    return place if len(snapshots) == 1 else place.parent


def _download(snapshot: Snapshot, patterns: list[str], place: Path) -> str:
    """Download the files that fit some patterns and check them; return their commit."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.utils import disable_progress_bars, filter_repo_objects

    if not sys.stderr.isatty():
        disable_progress_bars()
    api = HfApi(library_name="hbr")
    about = api.dataset_info(snapshot.repo, revision=snapshot.revision, files_metadata=True)
    siblings = {file.rfilename: file for file in about.siblings or ()}
    files = [siblings[file] for file in filter_repo_objects(siblings, allow_patterns=patterns)]
    if not files or any(".." in PurePosixPath(file.rfilename).parts for file in files):
        raise ValueError("its files are not the ones that hbr knows")
    size = sum(file.size or 0 for file in files) / 1e9
    commit = str(about.sha)
    logger.info(f"{snapshot.repo} at {commit[:12]}: {len(files)} files, {size:,.1f} GB")
    snapshot_download(
        snapshot.repo,
        repo_type="dataset",
        revision=commit,
        local_dir=place,
        allow_patterns=patterns,
        library_name="hbr",
    )
    for file in files:  # the library compares sizes alone
        path = place / file.rfilename
        digest = f"sha256:{file.lfs.sha256}" if file.lfs else f"git:{file.blob_id}"
        if checksum(path, digest.partition(":")[0]) != digest:
            path.unlink()
            raise ValueError(f"{file.rfilename} is not the file that hbr knows; do it again")
    return commit


def _reason(error: Exception, repo: str) -> str:
    """Return why the hub refuses, in one line."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids it: unset it where there is network"
    causes = (error, error.__cause__)
    status = next((e.response.status_code for e in causes if isinstance(e, HfHubHTTPError)), 0)
    place = f"{constants.ENDPOINT}/datasets/{repo}"
    return REFUSALS[status].format(place) if status in REFUSALS else first_line(error)
