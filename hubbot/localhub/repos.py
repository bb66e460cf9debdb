"""Model repos as commits in a folder, so that a stopped Hub comes back as it was.

    folder/blobs/ab/abcdef…                 contents by sha256
    folder/repos/OWNER/NAME/repo.json       settings, counters and refs, replaced atomically
    folder/repos/OWNER/NAME/commits/SHA     one commit: parents, author, date, all files
    folder/repos/OWNER/NAME/talks/N.json    discussions and pull requests (see talks.py)

Reading needs no lock, since every file is replaced as a whole; writers take one, across processes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from hubbot.localhub.blobs import Blobs, StoredFile, git_blob_id, lfs_pointer, write_atomically
from hubbot.localhub.clock import EPOCH, from_wire, now, to_wire
from hubbot.localhub.names import GITATTRIBUTES, check_path, check_repo_id, is_lfs
from hubbot.localhub.refused import Refused, entry_not_found, repo_not_found, revision_not_found

Gated = Literal[False, "auto", "manual"]
Change = bytes | Path | StoredFile | None
"""New content, the path of a local file to copy, an already stored file, or None to delete."""

_SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Repo:
    """A repo's settings, counters and refs. `refs` maps `main`, `refs/pr/N` to commits."""

    id: str
    created_at: datetime
    gated: Gated = False
    private: bool = False
    disabled: bool = False
    likes: int = 0
    downloads: int = 0
    granted: tuple[str, ...] = ()
    refs: Mapping[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.id.split("/", 1)[0]

    @property
    def head(self) -> str:
        return self.refs["main"]


@dataclass(frozen=True, slots=True)
class Commit:
    """One state of all files of a repo, and how it came about."""

    sha: str
    parents: tuple[str, ...]
    author: str
    date: datetime
    title: str
    message: str
    files: Mapping[str, StoredFile]


class Repos:
    """All repos under one folder. Several objects, also in several processes, may share the folder.

    Args:
        blobs: where contents are kept, if not in the folder itself.
    """

    def __init__(self, folder: Path | str, blobs: Blobs | None = None) -> None:
        self.folder = Path(folder)
        self.blobs = blobs or Blobs(self.folder / "blobs")
        (self.folder / "repos").mkdir(parents=True, exist_ok=True)
        self._threads = threading.RLock()
        self._depth = 0
        self._commit = lru_cache(maxsize=4096)(self._load_commit)

    # --- repos ------------------------------------------------------------------------------

    def create(
        self,
        repo_id: str,
        *,
        gated: Gated | bool = False,
        private: bool = False,
        disabled: bool = False,
        created_at: datetime | None = None,
        likes: int = 0,
        author: str | None = None,
    ) -> str:
        """Create a repo whose first commit holds `.gitattributes`, and return that commit.

        Raises:
            Refused: 400 for a name that is not one, 409 if the repo exists.
        """
        owner, _ = check_repo_id(repo_id)
        born = max(created_at or now(), EPOCH)
        repo = Repo(repo_id, born, "auto" if gated is True else gated, private, disabled, likes)
        with self.writing():
            if (self.place(repo_id) / "repo.json").exists():
                raise Refused(409, "You already created this model repo")
            first = self._store_commit(
                repo_id, {".gitattributes": GITATTRIBUTES}, (), author or owner, born, "initial commit"
            )
            self._save(replace(repo, refs={"main": first}))
        return first

    def delete(self, repo_id: str) -> None:
        with self.writing():
            self.get(repo_id)
            shutil.rmtree(self.place(repo_id))

    def move(self, repo_id: str, new_id: str) -> None:
        """Give a repo another name; the old one leads there until somebody takes it."""
        with self.writing():
            repo, source, target = self.get(repo_id), self.place(repo_id), self.place(new_id)
            if (target / "repo.json").exists():
                raise Refused(409, f"{new_id} exists already")
            shutil.rmtree(target, ignore_errors=True)  # at most the sign that another repo moved away
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
            self._save(replace(repo, id=new_id))
            write_atomically(source / "moved", new_id.encode())

    def moved_to(self, repo_id: str) -> str | None:
        """The present name of a repo that once had this one."""
        sign = self.place(repo_id) / "moved"
        return sign.read_text() if sign.is_file() and not (sign.parent / "repo.json").is_file() else None

    def update(self, repo_id: str, **changes: Any) -> Repo:
        """Change settings or counters, e.g. `update(id, private=True)`."""
        with self.writing():
            repo = replace(self.get(repo_id), **changes)
            self._save(repo)
        return repo

    def count_download(self, repo_id: str) -> None:
        with self.writing():
            self.update(repo_id, downloads=self.get(repo_id).downloads + 1)

    def get(self, repo_id: str) -> Repo:
        """Raises Refused, 404 RepoNotFound, where there is none."""
        try:
            stored = json.loads((self.place(repo_id) / "repo.json").read_text())
        except FileNotFoundError:
            raise repo_not_found() from None
        return Repo(
            **stored | {"created_at": from_wire(stored["created_at"]), "granted": tuple(stored["granted"])}
        )

    def all(self) -> list[Repo]:
        """In the order of their names; one that is deleted meanwhile is left out."""
        found = []
        for path in sorted((self.folder / "repos").glob("*/*/repo.json")):
            with suppress(Refused):
                found.append(self.get(f"{path.parent.parent.name}/{path.parent.name}"))
        return found

    def place(self, repo_id: str) -> Path:
        """The repo's folder, for a name that is safe as one."""
        owner, name = check_repo_id(repo_id)
        return self.folder / "repos" / owner / name

    # --- commits ----------------------------------------------------------------------------

    def commit(
        self,
        repo_id: str,
        changes: Mapping[str, Change],
        *,
        message: str = "Update",
        description: str = "",
        author: str | None = None,
        when: datetime | None = None,
        ref: str = "main",
        base: str | None = None,
        also_from: tuple[str, ...] = (),
    ) -> str:
        """Apply changes on top of a ref and move it there.

        Args:
            base: the commit that the changes apply to, if not the ref's; for a ref that does not exist yet.
            also_from: further parents, for a merge.

        Returns:
            The new commit, 40 hex digits.

        Raises:
            Refused: for unsafe paths, a missing repo or base, a deletion of what is not there.
        """
        with self.writing():
            repo = self.get(repo_id)
            parent = base or repo.refs.get(ref)
            if parent is None:
                raise revision_not_found(ref)
            files = dict(self.commit_of(repo_id, parent).files)
            _apply(files, {path: self._stored(path, change) for path, change in changes.items()})
            parents = (parent, *also_from)
            sha = self._store_commit(
                repo_id, files, parents, author or repo.owner, when or now(), message, description
            )
            self.set_ref(repo_id, ref, sha)
        return sha

    def set_ref(self, repo_id: str, ref: str, sha: str) -> None:
        with self.writing():
            repo = self.get(repo_id)
            self._save(replace(repo, refs={**repo.refs, ref: sha}))

    def head(self, repo_id: str, ref: str = "main") -> str:
        return self.resolve(repo_id, ref)

    def resolve(self, repo_id: str, revision: str) -> str:
        """The commit that a branch, `refs/pr/N` or commit id names.

        Raises:
            Refused: 404 RevisionNotFound.
        """
        refs = self.get(repo_id).refs
        named = refs.get(revision.removeprefix("refs/heads/"))
        if named:
            return named
        if _SHA.fullmatch(revision) and (self.place(repo_id) / "commits" / revision).is_file():
            return revision
        raise revision_not_found(revision)

    def commit_of(self, repo_id: str, revision: str = "main") -> Commit:
        return self._commit(repo_id, self.resolve(repo_id, revision))

    def files(self, repo_id: str, revision: str = "main") -> Mapping[str, StoredFile]:
        return self.commit_of(repo_id, revision).files

    def file(self, repo_id: str, path: str, revision: str = "main") -> StoredFile:
        """Raises Refused, 404 EntryNotFound, where there is none."""
        commit = self.commit_of(repo_id, revision)
        if path not in commit.files:
            raise entry_not_found(path, commit.sha)
        return commit.files[path]

    def read(self, repo_id: str, path: str, revision: str = "main") -> bytes:
        return self.blobs.path(self.file(repo_id, path, revision).blob).read_bytes()

    def history(self, repo_id: str, revision: str = "main") -> Iterator[Commit]:
        """Newest first, along the first parents."""
        sha: str | None = self.resolve(repo_id, revision)
        while sha:
            commit = self._commit(repo_id, sha)
            yield commit
            sha = commit.parents[0] if commit.parents else None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One writer at a time, over all threads and processes. May be entered again by its holder."""
        with self._threads:
            if self._depth == 0:
                self._lock_file = (self.folder / "lock").open("w")
                fcntl.flock(self._lock_file, fcntl.LOCK_EX)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._lock_file.close()

    # --- disk -------------------------------------------------------------------------------

    def _stored(self, path: str, change: Change) -> StoredFile | None:
        check_path(path)
        if change is None or isinstance(change, StoredFile):
            return change
        blob = self.blobs.add(change)
        return self.describe(path, blob)

    def describe(self, path: str, blob: str) -> StoredFile:
        """A blob as a file of that name: its size, its git id, and whether it is a large one."""
        size = self.blobs.size(blob)
        lfs = is_lfs(path, size)
        content = lfs_pointer(blob, size) if lfs else self.blobs.path(blob).read_bytes()
        return StoredFile(blob, git_blob_id(content), size, lfs)

    def _store_commit(
        self,
        repo_id: str,
        files: Mapping[str, Change],
        parents: tuple[str, ...],
        author: str,
        date: datetime,
        title: str,
        message: str = "",
    ) -> str:
        stored = {
            path: asdict(file) for path, content in files.items() if (file := self._stored(path, content))
        }
        body = {
            "parents": parents,
            "author": author,
            "date": to_wire(date),
            "title": title,
            "message": message,
            "files": dict(sorted(stored.items())),
        }
        encoded = json.dumps(body).encode()
        # The repo's name is part of the id, so that equal first commits of two repos differ.
        sha = hashlib.sha1(repo_id.encode() + b"\0" + encoded, usedforsecurity=False).hexdigest()
        write_atomically(self.place(repo_id) / "commits" / sha, encoded)
        return sha

    def _load_commit(self, repo_id: str, sha: str) -> Commit:
        body = json.loads((self.place(repo_id) / "commits" / sha).read_bytes())
        files = {path: StoredFile(**file) for path, file in body.pop("files").items()}
        return Commit(sha, tuple(body.pop("parents")), date=from_wire(body.pop("date")), files=files, **body)

    def _save(self, repo: Repo) -> None:
        stored = asdict(repo) | {"created_at": to_wire(repo.created_at)}
        write_atomically(self.place(repo.id) / "repo.json", json.dumps(stored).encode())


def _apply(files: dict[str, StoredFile], changes: Mapping[str, StoredFile | None]) -> None:
    for path, file in changes.items():
        if file is not None:
            files[path] = file
        elif files.pop(path, None) is None:
            raise Refused(404, f"A file with this name doesn't exist: {path}", error_code="EntryNotFound")
    for path in files:
        folders = path.split("/")[:-1]
        for depth in range(len(folders)):
            if "/".join(folders[: depth + 1]) in files:
                raise Refused(400, f"{path!r} lies in what is a file")
