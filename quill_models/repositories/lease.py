"""Renewing leases in the background, for job runs and for workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from quill_models.values.errors import InvalidValue, LeaseLost

__all__ = ["LeaseKeeper", "check_lease"]

_RENEWALS_PER_LEASE = 3


def check_lease(lease: timedelta) -> None:
    """Raise `InvalidValue` if a lease is not positive."""
    if lease <= timedelta(0):
        raise InvalidValue(f"lease must be positive, got {lease}")


@dataclass
class _Lease:
    renew: Callable[[], object]
    sure_until: float
    is_lost: bool = False


class LeaseKeeper:
    """A thread that renews the leases of one lease holder.

    The time is measured by the monotonic clock, from before the last renewal was sent. So changes
    of the wall clock have no effect.

    Args:
        name: The name of the thread.
        lease: How long each lease lasts.
        failed: Called with the key of a lease that could not be renewed, and with the error.
        sure_share: The share of a lease that is relied on, from 0 to 1.
    """

    def __init__(
        self,
        name: str,
        lease: timedelta,
        failed: Callable[[str, Exception], object],
        sure_share: float = 1.0,
    ) -> None:
        self._name = name
        self._seconds = lease.total_seconds()
        self._failed = failed
        self._sure_share = sure_share
        self._leases: dict[str, _Lease] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def hold(self, key: str, renew: Callable[[], object], since: float) -> None:
        """Begin to renew a lease.

        Args:
            key: The name of the lease.
            renew: Renews the lease. Raises `LeaseLost` if another holder has it.
            since: `time.monotonic` at the claim, or a moment before.
        """
        with self._lock:
            self._leases[key] = _Lease(renew, self._sure_until(since))

    def let_go(self, key: str) -> None:
        """Stop renewing a lease."""
        with self._lock:
            self._leases.pop(key, None)

    def renewed(self, key: str, since: float) -> None:
        """Note that the holder has renewed a lease itself."""
        self._leases[key].sure_until = self._sure_until(since)

    def is_lost(self, key: str) -> bool:
        """Return whether a renewal found another holder."""
        return key in self._leases and self._leases[key].is_lost

    def is_sure(self, key: str) -> bool:
        """Return whether no other holder can have the lease."""
        lease = self._leases[key]
        return not lease.is_lost and time.monotonic() < lease.sure_until

    def _sure_until(self, since: float) -> float:
        return since + self._seconds * self._sure_share

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._keep, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait for a renewal in flight."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds / _RENEWALS_PER_LEASE):
            with self._lock:
                leases = list(self._leases.items())
            for key, lease in leases:
                is_held = self._leases.get(key) is lease and not lease.is_lost
                if is_held and not self._ended.is_set():
                    self._renew(key, lease)

    def _renew(self, key: str, lease: _Lease) -> None:
        since = time.monotonic()
        try:
            lease.renew()
        except LeaseLost:
            lease.is_lost = True
        except Exception as error:  # noqa: BLE001
            # The next renewal, or the holder's own next write, decides.
            self._failed(key, error)
        else:
            lease.sure_until = max(lease.sure_until, self._sure_until(since))
