"""The application's processes, a module for each. Only these and `workflows_api` use Squid Mesh."""

from collections.abc import Sequence
from typing import Any

from squid_mesh import Workflow

from .approval import ManualApproval
from .delivery import CancellableWait
from .dependencies import DependencyRecovery
from .digest import DailyDigest
from .payment import PaymentRecovery
from .refund import Refund
from .retry import RetryVerification

ALL: Sequence[type[Workflow[Any]]] = [
    CancellableWait,
    DailyDigest,
    DependencyRecovery,
    ManualApproval,
    PaymentRecovery,
    Refund,
    RetryVerification,
]

__all__ = [
    "ALL",
    "CancellableWait",
    "DailyDigest",
    "DependencyRecovery",
    "ManualApproval",
    "PaymentRecovery",
    "Refund",
    "RetryVerification",
]
