"""Clients of the three servers, shared by all parts of the operator."""

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from armonik_operator.clients.events import EventRecorder
from armonik_operator.clients.kube import Kube
from armonik_operator.clients.store_usage import StoreUsage
from armonik_sdk.api.names import CONTROL, RESULTS, TASKS
from armonik_sdk.api.records import BandsInUse, Control, Inventory
from armonik_sdk.api.results import ResultEntry
from armonik_sdk.dataplane.errors import DataPlaneError, QueueUnavailable, StoreUnavailable
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.journal import Journal
from armonik_sdk.dataplane.run_entries import RunEntries
from armonik_sdk.dataplane.s3.store import ObjectStore

OUTAGE_ERRORS = (QueueUnavailable, StoreUnavailable, nats.errors.Error, TimeoutError, OSError)
"""What is raised when NATS or the object store cannot be reached."""
SERVER_ERRORS = (*OUTAGE_ERRORS, DataPlaneError, nats.js.errors.Error)
"""The same, and whatever else a server that is coming up may answer."""


class Clients:
    """Clients of the apiserver, NATS and the object store."""

    def __init__(
        self,
        kube: Kube,
        client: Client,
        objects: ObjectStore,
        events: EventRecorder | None = None,
        rooms: StoreUsage | None = None,
    ) -> None:
        """`rooms`: how full NATS is, where each namespace has an account of its own."""
        self.kube = kube
        self.client = client
        self.objects = objects
        self.journal = Journal(client)
        self.inventory = Bucket(client, TASKS, Inventory)
        self.control = Bucket(client, CONTROL, Control)
        self.bands = Bucket(client, CONTROL, BandsInUse)
        self.run_results = RunEntries(client, objects, lost_is_empty=True)
        self.results = Bucket(client, RESULTS, ResultEntry)
        self.events = events or EventRecorder(kube)
        self.rooms = rooms or StoreUsage()
