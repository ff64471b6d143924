"""A delivery some time from now, which can be called off until then: a wait."""

from datetime import timedelta

from squid_mesh import Payload, Workflow, complete, log, wait


class DeliveryPayload(Payload):
    """How long to wait before delivering."""

    delay: timedelta


class CancellableWait(Workflow[DeliveryPayload]):
    """Deliver later, unless cancelled."""

    wait_for_delivery = wait(DeliveryPayload.delay)
    record_delivery = log("Delivered")

    flow = wait_for_delivery >> record_delivery >> complete
