"""HubSpot webhooks: from the bytes of a delivery to `WebhookEvent` models.

`verify_signature` checks that a request comes from HubSpot, `parse` reads its body, and `read`
reads a file of deliveries. ``quill help idempotency`` describes the identity of an event.

HubSpot's documentation of the body: https://developers.hubspot.com/docs/api/webhooks
"""

from quill_models.hubspot.body import parse, read
from quill_models.hubspot.event import SOURCE
from quill_models.hubspot.signature import verify_signature

__all__ = ["SOURCE", "parse", "read", "verify_signature"]
