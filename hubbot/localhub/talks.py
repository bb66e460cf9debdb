"""Discussions and pull requests of a repo: JSON files beside its commits.

A pull request is a ref `refs/pr/N` that began at `base`; merging lays its changes on top of `main`.
The events are kept as the Hub sends them.
"""

from __future__ import annotations

import difflib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from hubbot.localhub.blobs import StoredFile, lfs_pointer, write_atomically
from hubbot.localhub.clock import now, to_wire
from hubbot.localhub.refused import Refused
from hubbot.localhub.repos import Repos

_MAX_DIFF_BYTES = 300_000
_MAX_COMMENT = 65_536


@dataclass(frozen=True, slots=True)
class Talk:
    """A discussion, or a pull request if `base` is set. `status` is draft, open, closed or merged."""

    num: int
    title: str
    status: str
    author: str
    created_at: str
    base: str | None = None
    merged_as: str | None = None
    events: tuple[dict[str, Any], ...] = field(default=())

    @property
    def is_pull_request(self) -> bool:
        return self.base is not None

    @property
    def ref(self) -> str:
        return f"refs/pr/{self.num}"


class Talks:
    """All discussions of all repos in the folder of `repos`."""

    def __init__(self, repos: Repos) -> None:
        self._repos = repos

    def all(self, repo_id: str) -> list[Talk]:
        """Newest first."""
        found = [int(path.stem) for path in (self._repos.place(repo_id) / "talks").glob("*.json")]
        return [self.get(repo_id, num) for num in sorted(found, reverse=True)]

    def get(self, repo_id: str, num: int) -> Talk:
        path = self._repos.place(repo_id) / "talks" / f"{num:d}.json"
        try:
            stored = json.loads(path.read_text())
        except FileNotFoundError:
            raise Refused(404, f"Discussion {num} not found") from None
        return Talk(**stored | {"events": tuple(stored["events"])})

    def open(
        self,
        repo_id: str,
        title: str,
        description: str,
        author: str,
        *,
        base: str | None = None,
        status: str = "open",
    ) -> Talk:
        """Open a discussion, or with `base` a pull request whose ref starts at that commit.

        Raises:
            Refused: 400, if the title has not 3 to 200 characters.
        """
        with self._repos.writing():
            num = 1 + max((talk.num for talk in self.all(repo_id)), default=0)
            talk = Talk(num, _title(title), status, author, to_wire(now()), base)
            if base:
                self._repos.set_ref(repo_id, talk.ref, base)
            return self._save(repo_id, _with(talk, comment(author, description)))

    def add(self, repo_id: str, num: int, *events: dict[str, Any], **changes: Any) -> Talk:
        """Append events, and change fields with them."""
        with self._repos.writing():
            return self._save(repo_id, _with(replace(self.get(repo_id, num), **changes), *events))

    def set_status(
        self, repo_id: str, num: int, status: str, author: str, remark: str = ""
    ) -> dict[str, Any]:
        """Open or close; what is merged stays merged."""
        with self._repos.writing():
            talk = self.get(repo_id, num)
            if status not in {"open", "closed"} or talk.status == "merged":
                raise Refused(400, f"Cannot change the status from {talk.status} to {status}")
            event = _event("status-change", author, {"status": status})
            self.add(repo_id, num, *_remark(author, remark), event, status=status)
        return event

    def set_title(self, repo_id: str, num: int, title: str, author: str) -> dict[str, Any]:
        with self._repos.writing():
            event = _event(
                "title-change", author, {"from": self.get(repo_id, num).title, "to": _title(title)}
            )
            self.add(repo_id, num, event, title=_title(title))
        return event

    def edit_comment(self, repo_id: str, num: int, event_id: str, text: str | None) -> dict[str, Any]:
        """New text for a comment, or with None its hiding for good."""
        with self._repos.writing():
            talk = self.get(repo_id, num)
            for event in talk.events:
                if event["id"] == event_id and event["type"] == "comment":
                    _rewrite(event, text)
                    self._save(repo_id, talk)
                    return event
        raise Refused(404, "Comment not found")

    def merge(self, repo_id: str, num: int, author: str, remark: str = "") -> str:
        """Lay the pull request's changes on top of main, and return the new commit.

        Raises:
            Refused: 400 if it is not open, 409 if main changed the same files meanwhile.
        """
        with self._repos.writing():
            talk = self.get(repo_id, num)
            if not talk.is_pull_request or talk.status not in {"open", "draft"}:
                raise Refused(400, "Only an open pull request can be merged")
            if clash := self.conflicts(repo_id, talk):
                raise Refused(409, f"This pull request has conflicts: {', '.join(clash[:5])}")
            head = self._repos.head(repo_id, talk.ref)
            title = f"{talk.title} (#{talk.num})"
            merged = self._repos.commit(
                repo_id, dict(self.changes(repo_id, talk)), message=title, author=author, also_from=(head,)
            )
            event = _event("status-change", author, {"status": "merged"})
            self.add(repo_id, num, *_remark(author, remark), event, status="merged", merged_as=merged)
        return merged

    def changes(self, repo_id: str, talk: Talk) -> Mapping[str, StoredFile | None]:
        """What the pull request changes against the commit it started from; None for deleted."""
        if talk.base is None:
            return {}
        before, after = self._repos.files(repo_id, talk.base), self._repos.files(repo_id, talk.ref)
        return {
            path: after.get(path) for path in sorted({*before, *after}) if before.get(path) != after.get(path)
        }

    def conflicts(self, repo_id: str, talk: Talk) -> list[str]:
        """The files that both the pull request and, since then, main have changed."""
        if talk.base is None or talk.status == "merged":
            return []
        before, main = self._repos.files(repo_id, talk.base), self._repos.files(repo_id)
        ours = self.changes(repo_id, talk)
        return [path for path, new in ours.items() if before.get(path) != main.get(path) != new]

    def diff(self, repo_id: str, talk: Talk) -> str:
        """The pull request as git would show it; large files as their pointers."""
        before = self._repos.files(repo_id, talk.base) if talk.base else {}
        parts = [
            self._file_diff(path, before.get(path), new) for path, new in self.changes(repo_id, talk).items()
        ]
        return "".join(parts)

    def _file_diff(self, path: str, old: StoredFile | None, new: StoredFile | None) -> str:
        title = f"diff --git a/{path} b/{path}\n"
        title += "" if old else "new file mode 100644\n"
        title += "" if new else "deleted file mode 100644\n"
        if sum(file.size for file in (old, new) if file and not file.lfs) > _MAX_DIFF_BYTES:
            return title + f"Files a/{path} and b/{path} differ\n"
        names = (f"a/{path}" if old else "/dev/null", f"b/{path}" if new else "/dev/null")
        lines = difflib.unified_diff(self._lines(old), self._lines(new), *names)
        return title + "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
        )

    def _lines(self, file: StoredFile | None) -> list[str]:
        if file is None:
            return []
        content = (
            lfs_pointer(file.blob, file.size) if file.lfs else self._repos.blobs.path(file.blob).read_bytes()
        )
        lines = content.decode(errors="replace").split("\n")
        return [line + "\n" for line in lines[:-1]] + [line for line in lines[-1:] if line]

    def _save(self, repo_id: str, talk: Talk) -> Talk:
        path = self._repos.place(repo_id) / "talks" / f"{talk.num}.json"
        write_atomically(path, json.dumps(asdict(talk)).encode())
        return talk


def comment(author: str, text: str) -> dict[str, Any]:
    """A comment as an event.

    Raises:
        Refused: 400, if it is too long.
    """
    if len(text) > _MAX_COMMENT:
        raise Refused(400, f"A comment has at most {_MAX_COMMENT} characters")
    written = {"raw": text, "html": "", "updatedAt": to_wire(now()), "author": {"name": author}}
    return _event("comment", author, {"edited": False, "hidden": False, "latest": written, "history": []})


def commit_event(author: str, title: str, sha: str) -> dict[str, Any]:
    return _event("commit", author, {"subject": title, "oid": sha})


def _event(kind: str, author: str, data: dict[str, Any]) -> dict[str, Any]:
    created = to_wire(now())
    return {
        "id": secrets.token_hex(12),
        "type": kind,
        "createdAt": created,
        "author": {"name": author},
        "data": data,
    }


def _remark(author: str, text: str) -> Iterator[dict[str, Any]]:
    if text.strip():
        yield comment(author, text)


def _rewrite(event: dict[str, Any], text: str | None) -> None:
    data = event["data"]
    data["history"].append(data["latest"])
    if text is None:
        data.update(hidden=True, history=[])
        data["latest"] = {**data["latest"], "raw": "This comment has been hidden"}
    else:
        data["edited"] = True
        data["latest"] = {**data["latest"], "raw": text, "updatedAt": to_wire(now())}


def _with(talk: Talk, *events: dict[str, Any]) -> Talk:
    return replace(talk, events=(*talk.events, *events))


def _title(title: str) -> str:
    if not 3 <= len(title.strip()) <= 200:
        raise Refused(400, '"title" must have 3 to 200 characters')
    return title.strip()
