"""HubSpot webhooks: from the bytes of a delivery to `WebhookEvent` models.

`verify_signature` tells whether a request comes from HubSpot, `parse` reads its body, `read` reads
a file of deliveries. What makes two events the same one: ``quill help idempotency``.

HubSpot's own description of the body and of its fields:
https://developers.hubspot.com/docs/api/webhooks
"""

from quill_models.hubspot.body import parse, read
from quill_models.hubspot.event import SOURCE
from quill_models.hubspot.signature import verify_signature

__all__ = ["SOURCE", "parse", "read", "verify_signature"]
