"""Everything that can go wrong, as one tree.

    RunnerError
    ├── SettingsInvalid            the configuration can't be used            (exit 78)
    ├── StoreError
    │   ├── StateLocked            another instance holds the state directory  (exit 73)
    │   ├── StoreNewer             the store was written by a newer version    (exit 78)
    │   ├── StoreAway              the database can't be reached               (exit 69)
    │   └── StoreFull              the database can't grow
    ├── SealedShut                 a stored secret can't be opened
    ├── Refused                    a request that can't be taken, by field
    ├── ConnectorFailure           raised by connectors; its type says what helps
    │   ├── ConfigRejected         a person must edit the connection
    │   ├── AccessDenied           a person must renew a credential
    │   ├── TlsFailed              a person must look at a certificate
    │   ├── TryLater               the other side may take it later
    │   │   ├── Unreachable        nobody answered
    │   │   └── OutcomeUnknown     a write was sent, and its answer never came
    │   ├── BadInput               the file or answer itself is wrong
    │   └── IncompleteRead         less was read than there is
    ├── SkipRecord                 one record can't be handled, the others can
    └── RunStopped                 the daemon ended the run
        ├── CeilingReached         too much would be destroyed without approval
        ├── Cancelled              a person ended it
        ├── TimedOut               it took longer than it may
        ├── OutOfMemory            it took more memory than it may
        ├── WorkerCrashed          its process died
        └── Internal               a defect of ours or of a plug-in

Each carries two texts: ``message``, a sentence for the operator that is safe in a
``result_message``, and ``detail``, for the log only.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Why a job failed: the closed list that API, log, metrics and ``--json`` share."""

    AUTH = "auth"
    TLS = "tls"
    UNREACHABLE = "unreachable"
    INCOMPLETE_READ = "incomplete_read"
    CEILING = "ceiling"
    BAD_PARAMS = "bad_params"
    BAD_INPUT = "bad_input"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crash"
    CANCELLED = "cancelled"
    CONFLICT = "conflict"
    INTERNAL = "internal"


MEANINGS: Mapping[Reason, str] = {
    Reason.AUTH: "A credential was refused: somebody has to renew it, or to give the account its right.",
    Reason.TLS: "The other side's certificate or protocol can't be trusted: look at the certificate.",
    Reason.UNREACHABLE: "Nobody answered, or not in time; further attempts were made first.",
    Reason.INCOMPLETE_READ: "Less was read than there is, so absence can't be concluded from it.",
    Reason.CEILING: "More would be destroyed than is allowed without a person.",
    Reason.BAD_PARAMS: "The connection's settings are wrong: somebody has to edit them.",
    Reason.BAD_INPUT: "A file or an answer itself is wrong.",
    Reason.TIMEOUT: "The run took longer than it may.",
    Reason.MEMORY: "The run took more memory than it may.",
    Reason.CRASH: "The run's process, or the daemon under it, died.",
    Reason.CANCELLED: "A person ended the run.",
    Reason.CONFLICT: "Somebody else changed the same thing meanwhile.",
    Reason.INTERNAL: "A defect of the runner or of a plug-in; the log has more.",
}
"""What each tells an operator."""


class RunnerError(Exception):
    """Something went wrong that the operator is told in a sentence."""

    reason: ClassVar[Reason] = Reason.INTERNAL
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class SettingsInvalid(RunnerError):
    """The configuration has an error; nothing was started."""

    reason = Reason.BAD_PARAMS
    exit_code = 78


class StoreError(RunnerError):
    """The store can't do what was asked."""


class StateLocked(StoreError):
    """Another instance of the runner uses this state directory."""

    exit_code = 73


class StoreNewer(StoreError):
    """The store was written by a newer version; install that version or restore a backup."""

    exit_code = 78


class StoreAway(StoreError):
    """The database can't be reached."""

    reason = Reason.UNREACHABLE
    exit_code = 69


class StoreFull(StoreError):
    """There is no space left for the database; free some, nothing is lost meanwhile."""


class SealedShut(RunnerError):
    """A stored secret can't be opened: its key isn't there."""

    reason = Reason.BAD_PARAMS


class Refused(RunnerError):
    """A request can't be taken; ``field`` names the part of it that is wrong."""

    reason = Reason.BAD_INPUT

    def __init__(self, message: str, *, field: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.field = field
        self.status = status


class ConnectorFailure(RunnerError):
    """A connector can't go on; its type says what helps."""


class ConfigRejected(ConnectorFailure):
    """The connection's settings are wrong: edit the connection."""

    reason = Reason.BAD_PARAMS


class AccessDenied(ConnectorFailure):
    """The other side refused the credential: renew it."""

    reason = Reason.AUTH


class TlsFailed(ConnectorFailure):
    """The other side's certificate can't be trusted: check it, or name its authority."""

    reason = Reason.TLS


class TryLater(ConnectorFailure):
    """The other side can't take it now; ``retry_after`` is in seconds, None = choose."""

    reason = Reason.UNREACHABLE

    def __init__(self, message: str, *, detail: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after


class Unreachable(TryLater):
    """Nobody answered at the configured address."""


class OutcomeUnknown(TryLater):
    """A write was sent and its answer never came: it may have been made, so look before it is repeated."""


class BadInput(ConnectorFailure):
    """The file or the answer is not what it should be: get a good one and run again."""

    reason = Reason.BAD_INPUT


class IncompleteRead(ConnectorFailure):
    """Less was read than there is, so nothing may be concluded from what is missing."""

    reason = Reason.INCOMPLETE_READ


class SkipRecord(RunnerError):
    """One record can't be handled; the run goes on with the others and says so."""

    reason = Reason.BAD_INPUT


class RunStopped(RunnerError):
    """The daemon ended the run."""


class CeilingReached(RunStopped):
    """More would be destroyed than is allowed without a person's approval."""

    reason = Reason.CEILING
    exit_code = 3


class Cancelled(RunStopped):
    """A person ended the run."""

    reason = Reason.CANCELLED


class TimedOut(RunStopped):
    """The run took longer than ``[engine] job_timeout``."""

    reason = Reason.TIMEOUT


class OutOfMemory(RunStopped):
    """The run took more memory than ``[engine] memory_limit``."""

    reason = Reason.MEMORY


class WorkerCrashed(RunStopped):
    """The process of the run died."""

    reason = Reason.CRASH


class Internal(RunStopped):
    """A defect of the runner or of a plug-in; the log has the details."""
