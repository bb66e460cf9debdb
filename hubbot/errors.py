"""Everything that hubbot raises on purpose, drawn.

    HubbotError
    ├── UsageError            what a person asked for cannot be done as asked
    │   └── SettingsError     a variable or a line of hubbot.toml is wrong
    ├── HubError              the Hub did not give what was asked
    │   ├── RepoNotFound      no such repo, revision or file, or none that we may see
    │   ├── AccessDenied      gated, private or disabled: left alone
    │   ├── RateLimited       the Hub asked us to come back later
    │   ├── HubUnavailable    no answer, or a broken one, after the retries
    │   └── UnsafeRedirect    an answer that points where we do not go
    ├── WeightsError          a weight file cannot be read as asked
    │   ├── UnsafeFormat      nothing but pickles: never opened
    │   ├── CorruptHeader     the safetensors header cannot be believed
    │   ├── TruncatedFile     the file ends before its header says so
    │   ├── TensorNotFound    the file has no tensor of that name
    │   ├── ShapeMismatch     the tensor is not of the shape that the expert knows
    │   ├── UnsupportedDtype  a storage format that is not plain numbers
    │   └── NotFinite         the tensor holds NaN or infinite values
    ├── CardError             a model card cannot be read
    │   └── CardNotEditable   a model card cannot be edited without touching the owner's bytes
    ├── ExpertError           an expert's folder cannot be used
    ├── EncoderError          a text encoder cannot be loaded
    ├── ZooError              a model zoo cannot be built or read
    ├── StoreError            the database cannot be used
    │   ├── StoreUnavailable  not now: held by another, full, read only, damaged
    │   ├── StoreLocked       another bot owns it
    │   ├── StoreMissing      it was to be read, and there is none yet
    │   └── IndexDamaged      the search index beside it is not what it should be
    ├── SnapshotError         a snapshot cannot be made, believed or read
    └── EngineError           the worker that computes did not answer
        └── BatchFailed       over one batch: it died, it hung, or it raised what nobody foresaw
            └── OutOfMemory   the batch does not fit

Every error carries its *where* (repo, file, tensor), a hint for the person who reads it, and a
`code`, the stable word under which an abstention with this cause is recorded.
"""

from __future__ import annotations

from typing import ClassVar


class HubbotError(Exception):
    """Something hubbot knows about went wrong."""

    code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str = "",
        *,
        repo: str | None = None,
        file: str | None = None,
        tensor: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.repo, self.file, self.tensor, self.hint = repo, file, tensor, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.repo, self.file, self.tensor) if part)
        return f"{where}: {self.message}" if where else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # The worker process hands errors back by pickle; keyword arguments need saying.
        return _rebuild, (type(self), self.message, self.repo, self.file, self.tensor, self.hint)


def _rebuild(
    kind: type[HubbotError],
    message: str,
    repo: str | None,
    file: str | None,
    tensor: str | None,
    hint: str | None,
) -> HubbotError:
    return kind(message, repo=repo, file=file, tensor=tensor, hint=hint)


class UsageError(HubbotError):
    """What was asked for cannot be done as asked."""

    code = "usage"


class SettingsError(UsageError):
    """A setting has a value that hubbot cannot use."""

    code = "settings"


class HubError(HubbotError):
    """The Hub did not give what was asked."""

    code = "hub"


class RepoNotFound(HubError):
    """The repo, revision or file does not exist, or not for us."""

    code = "not-found"


class AccessDenied(HubError):
    """The repo is gated, private or disabled, and is left alone."""

    code = "gated"


class RateLimited(HubError):
    """The Hub asked us to come back later."""

    code = "rate-limited"

    def __init__(
        self,
        message: str = "",
        *,
        repo: str | None = None,
        file: str | None = None,
        tensor: str | None = None,
        hint: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, repo=repo, file=file, tensor=tensor, hint=hint)
        self.retry_after_s = retry_after_s


class HubUnavailable(HubError):
    """The Hub gave no answer, or a broken one."""

    code = "hub-unavailable"


class UnsafeRedirect(HubError):
    """The answer points to an address that hubbot does not visit."""

    code = "unsafe-redirect"


class WeightsError(HubbotError):
    """A weight file cannot be read as asked."""

    code = "weights"


class UnsafeFormat(WeightsError):
    """There are only pickles here, and hubbot never opens one."""

    code = "not-readable-safely"


class CorruptHeader(WeightsError):
    """The safetensors header cannot be believed."""

    code = "corrupt-header"


class TruncatedFile(WeightsError):
    """The file ends before its header says so."""

    code = "truncated-file"


class TensorNotFound(WeightsError):
    """The file has no tensor of that name."""

    code = "tensor-not-found"


class ShapeMismatch(WeightsError):
    """The tensor is not of the shape that the expert knows."""

    code = "shape-mismatch"


class UnsupportedDtype(WeightsError):
    """The tensor is stored in a format that is not plain numbers."""

    code = "unsupported-dtype"


class NotFinite(WeightsError):
    """The tensor holds NaN or infinite values."""

    code = "not-finite"


class CardError(HubbotError):
    """The model card cannot be read."""

    code = "card"


class CardNotEditable(CardError):
    """The model card cannot be edited without touching what its owner wrote."""

    code = "card-not-editable"


class ExpertError(HubbotError):
    """The expert's folder cannot be used."""

    code = "expert"


class EncoderError(HubbotError):
    """The text encoder cannot be loaded."""

    code = "encoder"


class ZooError(HubbotError):
    """The model zoo cannot be built or read."""

    code = "zoo"


class StoreError(HubbotError):
    """The database cannot be used."""

    code = "store"


class StoreUnavailable(StoreError):
    """The database cannot be used now: it is held by another, full, read only or damaged."""

    code = "store-unavailable"


class StoreLocked(StoreError):
    """Another bot owns this database."""

    code = "store-locked"


class StoreMissing(StoreError):
    """There is no database yet."""

    code = "store-missing"


class IndexDamaged(StoreError):
    """The search index beside the database is not what it should be."""

    code = "index-damaged"


class SnapshotError(HubbotError):
    """The snapshot cannot be made, believed or read."""

    code = "snapshot"


class EngineError(HubbotError):
    """The worker that computes did not answer."""

    code = "engine"


class BatchFailed(EngineError):
    """The worker died or hung over a batch, or raised what nobody foresaw."""

    code = "batch-failed"


class OutOfMemory(BatchFailed):
    """A batch does not fit into the memory of the device."""

    code = "out-of-memory"
