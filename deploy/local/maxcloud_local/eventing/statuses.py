"""What Knative Eventing says of Brokers, Triggers and sources, in its words. Pure.

Sources: knative.dev/eventing, pkg/apis/eventing/v1: broker_lifecycle.go, trigger_lifecycle.go;
pkg/apis/sources/v1: ping_lifecycle.go, apiserver_lifecycle.go; pkg/reconciler/broker/trigger.
"""

from datetime import datetime

from maxcloud_local.eventing.subscriptions import Destination, Unusable, subscription
from maxcloud_local.kinds import BROKER, SERVICE, kind_of
from maxcloud_local.serving.conditions import YES, Said, written
from maxcloud_local.store import Object, Store

_NO_DEAD_LETTERS = Said("True", "DeadLetterSinkNotConfigured", "No dead letter sink is configured.")


def of_broker(broker: Object, address: str, now: datetime) -> Object:
    """Return a Broker's status; `address` is that of all Brokers."""
    metadata = broker["metadata"]
    said = dict.fromkeys(("Addressable", "FilterReady", "IngressReady", "TriggerChannelReady"), YES)
    url = f"{address}/{metadata['namespace']}/{metadata['name']}"
    said["DeadLetterSinkResolved"] = _NO_DEAD_LETTERS
    return _status(broker, said, now) | {"address": {"name": "http", "url": url}}


def of_trigger(trigger: Object, store: Store, now: datetime) -> Object:
    """Return a Trigger's status, given the Brokers and Knative Services that there are."""
    namespace, broker = trigger["metadata"]["namespace"], trigger["spec"].get("broker", "")
    said = dict.fromkeys(("BrokerReady", "DependencyReady", "SubscriptionReady"), YES)
    if store.find(BROKER, namespace, broker) is None:
        said["BrokerReady"] = Said(
            "False", "BrokerDoesNotExist", f'Broker "{broker}" does not exist'
        )
    try:
        read = subscription(trigger)
    except Unusable as error:
        said["SubscriptionReady"] = Said("False", "NotSubscribed", str(error))
        said["SubscriberResolved"] = said["DeadLetterSinkResolved"] = Said("Unknown")
        return _status(trigger, said, now)
    uris: Object = {}
    said["SubscriberResolved"] = _resolved(store, read.subscriber, "Subscriber")
    if said["SubscriberResolved"] == YES:
        uris["subscriberUri"] = read.subscriber.url
    said["DeadLetterSinkResolved"] = _NO_DEAD_LETTERS
    if read.dead_letters is not None:
        said["DeadLetterSinkResolved"] = _resolved(store, read.dead_letters, "dead letter sink")
        uris["deadLetterSinkUri"] = read.dead_letters.url
    return _status(trigger, said, now) | uris


def of_source(
    source: Object, store: Store, trouble: str | None, types: list[Object], now: datetime
) -> Object:
    """Return a source's status; `trouble` is why it cannot run, `types` what events it makes."""
    namespace, name = sink(source)
    said = {
        "Deployed": Said("False", "Unusable", trouble) if trouble else YES,
        "SinkProvided": YES,
    }
    broker = store.find(BROKER, namespace, name)
    if broker is None:
        missing = f'brokers.eventing.knative.dev "{name}" not found'
        said["SinkProvided"] = Said("False", "NotFound", missing)
        return _status(source, said, now) | {"ceAttributes": types}
    uri = broker.get("status", {}).get("address", {}).get("url")
    return _status(source, said, now) | {"ceAttributes": types, "sinkUri": uri}


def sink(source: Object) -> tuple[str, str]:
    """Return namespace and name of the Broker that a source sends to; empty for another sink."""
    ref = (source["spec"].get("sink") or {}).get("ref") or {}
    if kind_of(ref.get("apiVersion", ""), ref.get("kind", "")) != BROKER:
        return "", ""
    return ref.get("namespace") or source["metadata"]["namespace"], ref.get("name", "")


def _resolved(store: Store, to: Destination, what: str) -> Said:
    if store.find(SERVICE, to.namespace, to.service) is not None:
        return YES
    missing = f'services.serving.knative.dev "{to.service}" not found'
    return Said("False", f"Unable to get the {what}'s URI", missing)


def _status(of: Object, said: dict[str, Said], now: datetime) -> Object:
    ready = min(said.values(), key=lambda one: ("False", "Unknown", "True").index(one.status))
    ready = YES if ready.status == "True" else ready
    return {
        "observedGeneration": of["metadata"]["generation"],
        "conditions": written({**said, "Ready": ready}, of.get("status"), now),
    }
