"""The payment gateway, as the application calls it."""

from dataclasses import dataclass
from typing import Literal, cast

import httpx

type GatewayStatus = Literal["retry_required", "settled"]


class GatewayBusy(Exception):
    """The gateway can't answer now."""


class UnknownInvoice(Exception):
    """The gateway has never heard of it, and asking again won't help."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A client of the gateway at `url`."""

    url: str
    http: httpx.AsyncClient

    async def status_of(self, invoice_id: str) -> GatewayStatus:
        """How the payment of an invoice stands. Raises `GatewayBusy` or `UnknownInvoice`."""
        response = await self.http.get(f"{self.url}/invoices/{invoice_id}")
        if response.status_code == httpx.codes.NOT_FOUND:
            raise UnknownInvoice(f"the gateway doesn't know {invoice_id}")
        if response.is_error:
            raise GatewayBusy(f"the gateway answered {response.status_code}")
        return cast("GatewayStatus", response.text)
