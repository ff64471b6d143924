"""Durable workflows inside a Python application, on its own Postgres and its own Oban."""

from squid_mesh.definition.flow import complete
from squid_mesh.definition.handed import Decision, StepContext, StepFailure
from squid_mesh.definition.nodes import approval, log, pause, step, wait
from squid_mesh.definition.options import Constant, Exponential, Retry, Window
from squid_mesh.definition.payload import NoPayload, Payload
from squid_mesh.definition.surroundings import (
    connection,
    context,
    optional,
    resource,
    session,
    whole,
)
from squid_mesh.definition.triggers import cron, manual
from squid_mesh.definition.workflow import Workflow
from squid_mesh.errors import (
    AmbiguousStep,
    IncompatibleCode,
    InvalidConfig,
    InvalidPayload,
    InvalidResume,
    InvalidReview,
    InvalidRunId,
    InvalidStep,
    InvalidTransition,
    InvalidTrigger,
    KeyConflict,
    NotInstalled,
    PayloadTooLarge,
    RetryLater,
    RunNotFound,
    SquidMeshError,
    StepError,
    UnknownWorkflow,
    WaitTimeout,
    WorkflowDefinitionError,
)
