"""Whole models of the few architectures that an autoencoder knows: read once, and judged.

Nearly every upload is of none, as its header tells at no cost, and nothing more comes of it here. A reading
needs nothing of what is read, so that no fault of it stands in a reading's way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hubbot.bot import Reader
from hubbot.descent import PASSING
from hubbot.errors import EngineError, HubbotError, UnsupportedDtype
from hubbot.hub.tensors import Contents
from hubbot.pipeline import PLAIN, fetch
from hubbot.records import Abstention, AutoencoderInfo, Judgement, Tensors, Upload, Wanted
from hubbot.store.choice import FAILED

TOO_LARGE = "too-large"


@dataclass(frozen=True, slots=True)
class Judging:
    """How far the judging of one upload has come.

    Args:
        content_ids: of all its weight files.
        said: by those autoencoders that are done with it.
        left: those that are to be asked still, with `tensors`.
        fault: a passing one of the Hub, which did not give the tensors.
    """

    upload: Upload
    content_ids: tuple[str, ...]
    said: tuple[Judgement, ...] = ()
    left: tuple[AutoencoderInfo, ...] = ()
    tensors: Tensors | None = None
    fault: HubbotError | None = None

    def heard(self, answer: Judgement | EngineError) -> Judging:
        """After the answer of the first of those that were left; the tensors were paid for once.

        That the worker had none is no word on these weights, and asked again some day.
        """
        if isinstance(answer, EngineError):
            cost = self.tensors.bytes_read if self.tensors else 0
            answer = replace(self._silence(self.left[0], answer.code, str(answer)), bytes_read=cost)
        said = (*self.said, replace(answer, content_ids=self.content_ids))
        tensors = replace(self.tensors, bytes_read=0) if self.tensors and self.left[1:] else None
        return replace(self, said=said, left=self.left[1:], tensors=tensors)

    def silent(self, code: str, text: str) -> Judging:
        """Nobody who is left says anything, for this reason."""
        silence = (self._silence(info, code, text) for info in self.left)
        return replace(self, said=(*self.said, *silence), left=(), tensors=None, fault=None)

    def given_up(self) -> Judging:
        """As it is recorded where nobody waits for the Hub any more."""
        return self.silent(self.fault.code, str(self.fault)) if self.fault else self

    def _silence(self, info: AutoencoderInfo, code: str, text: str) -> Judgement:
        repo, commit, why = self.upload.repo, self.upload.commit, Abstention(code, text)
        return Judgement(repo, commit, self.content_ids, info.name, info.version, abstention=why)


def judging(
    reader: Reader, upload: Upload, contents: Contents, known: Iterable[Judgement] = ()
) -> Judging | None:
    """What was said of these very weights before, and the tensors for whoever is left to be asked.

    Args:
        known: what was ever said of this repo's weights; what holds of it is not asked again.

    Returns:
        None where no autoencoder knows the architecture.
    """
    shapes = {name: shape for name, shape in contents.shapes.items() if _is_float(contents.dtypes[name])}
    fitting = [info for info in reader.autoencoders if info.shapes == shapes]
    if not fitting:
        return None
    ids = tuple(sorted(file.content_id for file in contents.files))
    before = {(one.autoencoder, one.version): one for one in known if one.content_ids == ids and _holds(one)}
    said = [before.get((info.name, info.version)) for info in fitting]
    left = tuple(info for info, one in zip(fitting, said, strict=True) if one is None)
    found = Judging(upload, ids, tuple(one for one in said if one), left)
    return _read(reader, found, contents) if left else found


def _read(reader: Reader, found: Judging, contents: Contents) -> Judging:
    """With all tensors, or with why they are not read."""
    shapes, most = found.left[0].shapes, reader.most_whole_bytes
    if odd := next((name for name in shapes if contents.dtypes[name] not in PLAIN), None):
        why = f"{odd} is stored as {contents.dtypes[odd]}: a quantised copy is left to its original"
        return found.silent(UnsupportedDtype.code, why)
    if (size := sum(file.size for file in contents.files)) > most:
        why = f"its weight files have {size:,} bytes, and files of {most:,} at most are read as a whole"
        return found.silent(TOO_LARGE, why)
    try:
        wanted = [Wanted(name, shape=shape) for name, shape in shapes.items()]
        return replace(found, tensors=fetch(found.upload, wanted, reader.hub))
    except PASSING as error:
        return replace(found, fault=error)
    except HubbotError as error:
        return found.silent(error.code, str(error))


def _is_float(dtype: str) -> bool:
    """Narrow ones too: they mean nothing without their scales, but are numbers of the model."""
    return dtype.startswith(("F", "BF"))


def _holds(known: Judgement) -> bool:
    """Whether it is a word on the weights, and not on a limit or a fault of that day."""
    return known.abstention is None or known.abstention.code not in (TOO_LARGE, *FAILED)
