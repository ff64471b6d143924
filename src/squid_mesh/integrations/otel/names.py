"""Names of attributes: OpenTelemetry's where it has one, ours under `squid_mesh`.

A run is delivered as a message is: it is sent when it is started, and processed step by step.
"""

from __future__ import annotations

from typing import Final

WORKFLOW: Final = "squid_mesh.workflow.name"
TRIGGER: Final = "squid_mesh.trigger.name"
WINDOW: Final = "squid_mesh.window"
RUN: Final = "squid_mesh.run.id"
RUN_STATUS: Final = "squid_mesh.run.status"
STEP: Final = "squid_mesh.step.name"
STEP_KIND: Final = "squid_mesh.step.kind"
STEP_STATUS: Final = "squid_mesh.step.status"
ATTEMPT: Final = "squid_mesh.step.attempt"
DECISION: Final = "squid_mesh.decision"
RECOVERY: Final = "squid_mesh.recovery.policy"
OUTCOME: Final = "squid_mesh.outcome"
FLUSH: Final = "squid_mesh.flush.kind"
LINK: Final = "squid_mesh.link"
ERROR_CODE: Final = "squid_mesh.error.code"

ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_TRACEBACK: Final = "exception.stacktrace"
SYSTEM: Final = "messaging.system"
OPERATION: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
CONVERSATION: Final = "messaging.message.conversation_id"
DESTINATION: Final = "messaging.destination.name"
