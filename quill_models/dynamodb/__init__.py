"""One table at one endpoint: requests, retries, errors, items, conditions."""
