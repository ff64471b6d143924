"""What a scenario has: the application, the gateway behind it, and where to tell what is so."""

from dataclasses import dataclass

from .application import Application
from .checks import Checks
from .gateway_stub import GatewayStub
from .workflows_api import WorkflowsApi


@dataclass(frozen=True, slots=True)
class Stage:
    """The parts, in one place."""

    app: Application
    gateway: GatewayStub
    checks: Checks

    @property
    def workflows(self) -> WorkflowsApi:
        """What scenarios are about."""
        return self.app.workflows
