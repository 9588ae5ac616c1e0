"""The real gateway, opened and closed with the service."""

from collections.abc import AsyncIterator
from decimal import Decimal

from pydantic import SecretStr

from choreo import Settings
from tests.testing.shop.payments.gateway import CardGateway, Charge


class PaymentSettings(Settings):
    """PAYMENTS_GATEWAY_URL and PAYMENTS_API_KEY, or [settings.payments] in choreo.toml."""

    gateway_url: str = "https://sandbox.gateway.example"
    api_key: SecretStr


class HttpCardGateway:
    def __init__(self, url: str, api_key: str) -> None:
        self.url = url
        self.api_key = api_key

    async def charge(self, key: str, order_id: str, card_token: str, amount: Decimal) -> Charge:
        raise NotImplementedError

    async def refund(self, key: str, receipt: str) -> Decimal:
        raise NotImplementedError

    async def find(self, order_id: str) -> Charge | None:
        raise NotImplementedError

    async def close(self) -> None: ...


async def open_gateway(settings: PaymentSettings) -> AsyncIterator[CardGateway]:
    gateway = HttpCardGateway(settings.gateway_url, settings.api_key.get_secret_value())
    try:
        yield gateway
    finally:
        await gateway.close()
