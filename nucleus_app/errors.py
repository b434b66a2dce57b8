"""Every error a user can meet. Each message says what was got, what is allowed, and what to do next."""

import errno

FULL_DISK = ("No space left on device", "database or disk is full", "basic_ios::clear: iostream error")
"""As the system and safetensors, SQLite, and torch say it, who hide the number of the error in a text."""


class NucleusAppError(Exception):
    """Base of all errors whose message is meant for the user."""


class InvalidImage(NucleusAppError):
    """The file is not an image that can be scored."""


class WholeSlide(InvalidImage):
    """The file is a slide, too large to be scored as one image: fields are chosen on it."""


class UnknownPixelSize(NucleusAppError):
    """The image states no pixel size, or one outside the accepted range, and none was given."""


class InvalidDataset(NucleusAppError):
    """A folder of labelled images does not follow the dataset format."""


class CheckpointError(NucleusAppError):
    """A weight file is missing, damaged, or of another architecture."""


class TrainingDiverged(NucleusAppError):
    """A loss was not finite."""


class NotFound(NucleusAppError):
    """The case, image or result does not exist (any more)."""


class StorageFull(NucleusAppError):
    """The disk has no room for what was to be stored."""

    def __init__(self, message: str = "The disk is full: nothing was stored. Free some space and try again.") -> None:
        super().__init__(message)


class InvalidEdit(NucleusAppError):
    """A correction that cannot be."""


class StaleRevision(NucleusAppError):
    """Corrections of a scoring that is not the latest, not done, or not as far as the sender says."""


class InvalidCase(NucleusAppError):
    """What was said of a case cannot be."""


class SignedOff(NucleusAppError):
    """The case is signed off: it must be reopened before anything changes."""


class InvalidAnnotations(NucleusAppError):
    """A file of annotations from another program that cannot be imported."""


class LostRun(NucleusAppError):
    """Another trainer holds the training run."""


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one behind it, says that the disk has no room."""
    if isinstance(error, StorageFull) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return True
    before = error.__cause__ or error.__context__
    return any(text in str(error) for text in FULL_DISK) or (before is not None and is_disk_full(before))
