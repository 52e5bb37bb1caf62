"""Why a Partition has no ready pod: a row for each reason of its conditions."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from armonik_sdk.api.const import WORKER_CONTAINER, ConditionType, Reason
from armonik_sdk.api.kinds import Condition, Partition, find_condition
from armonik_sdk.explain.explanation import Finding, Link
from armonik_sdk.explain.facts import Pod
from armonik_sdk.explain.wording import (
    NOTHING_LOST,
    clean,
    duration,
    last_line,
    plural,
    seconds_between,
    sentence,
)

_LACKING: Final = re.compile(r"Insufficient ([\w./-]*\w)")
_IMAGE: Final = re.compile(r"image \"([^\"\s]+)\"")
_QUOTA: Final = re.compile(r"exceeded quota: ([\w.-]*\w)")
_TO: Final = re.compile(r"those of partition ([a-z0-9-]+)")
_OF_NO_REGISTRY: Final = {
    "InvalidImageName": "its name is invalid",
    "ErrImageNeverPull": "it is not on the node, and imagePullPolicy is Never",
}


@dataclass(frozen=True)
class Pods:
    """A Partition and its pods."""

    partition: Partition
    now: datetime
    pods: Sequence[Pod] = ()

    @property
    def name(self) -> str:
        """Of the Partition."""
        return self.partition.metadata.name

    @property
    def ready(self) -> int:
        """Pods that are ready, as the operator counted them."""
        status = self.partition.status
        return status.ready_replicas if status is not None else 0

    @property
    def condition(self) -> Condition | None:
        """Its condition Ready."""
        status = self.partition.status
        return find_condition(status.conditions, ConditionType.READY) if status is not None else None

    @property
    def reason(self) -> str:
        """Of that condition."""
        return self.condition.reason if self.condition is not None else ""

    @property
    def since(self) -> datetime | None:
        """Since when that condition is what it is."""
        return self.condition.last_transition_time if self.condition is not None else None

    @property
    def said(self) -> str:
        """That condition's message, without the name of the pod that it begins with."""
        message = self.condition.message if self.condition is not None else ""
        return clean(re.sub(rf"^{re.escape(self.name)}-[a-z0-9-]+: ", "", message), 600)

    @property
    def look(self) -> list[str]:
        """What shows its pods."""
        return [f"armonikctl partition pods {self.name}"]

    def none(self, cause: str) -> str:
        """That no pod is ready, and why."""
        return f"Partition {self.name} has no ready pod: {cause}"

    def first(self, wanted: Callable[[Pod], object]) -> Pod:
        """The first pod of which this holds, else one without a name."""
        return next((pod for pod in self.pods if not pod.ready and wanted(pod)), Pod(""))


def without_pods(of: Pods) -> Finding:
    """Why no pod of the Partition is ready, with the chain down to a pod, a quota or another Partition."""
    if of.condition is None:
        why = of.none("the operator has not looked at it yet")
        return Finding(why, look=[f"kubectl describe akp {of.name}"])
    row = ROWS.get(of.reason)
    found = row(of) if row is not None else _unknown(of)
    first = Link(subject=f"partition {of.name}", reason=of.reason, why=of.said or clean(found.why))
    return Finding(found.why, found.mend, found.look, found.since, chain=[first, *found.chain])


def _unknown(of: Pods) -> Finding:
    said = f"{of.reason}: {of.said}" if of.said else of.reason
    return Finding(of.none(said), look=[f"kubectl describe akp {of.name}"], since=of.since)


def _serving(of: Pods) -> Finding:
    if not of.ready:
        return Finding(of.none(f"{of.said or 'its status will say why'}"), look=of.look)
    status = of.partition.status
    busy = status.busy_replicas if status is not None else 0
    more = f" {sentence(of.said)}" if of.said else ""
    return Finding(f"It serves: {plural(of.ready, 'pod')} ready, {busy} busy.{more}", look=of.look)


def _scaled_to_zero(of: Pods) -> Finding:
    if of.partition.spec.pod_max:
        return Finding(
            of.none("there was no work for it; the first is made when work is queued"), look=of.look
        )
    patch = f"""kubectl patch akp {of.name} --type merge -p '{{"spec":{{"podMax":1}}}}'"""
    return Finding(of.none("it is stopped, podMax is 0"), [f"Start it:    {patch}"], of.look)


def _starting(of: Pods) -> Finding:
    slow = of.said.removeprefix("pods are starting").lstrip(": ")
    pod = of.first(lambda pod: not pod.unschedulable)
    look = [f"kubectl describe pod {pod.name}"] if slow and pod.name else of.look
    chain = [Link(subject=f"pod {pod.name}", why=slow)] if slow and pod.name else []
    mend = ["Nothing has to be done, unless it lasts: then read the worker's log."] if not slow else []
    said = f"its pods are starting: {slow}" if slow else "its pods are starting"
    return Finding(of.none(said), mend, look, of.since, chain=chain)


def _preempted(of: Pods) -> Finding:
    found = _TO.search(of.said)
    other = found[1] if found else ""
    spec = of.partition.spec
    patch = f"""kubectl patch akp {of.name} --type merge -p '{{"spec":{{"podReserved":1}}}}'"""
    to = f"partition {other}, which has a higher priority" if other else "a partition of higher priority"
    why = of.none(f"they give way to those of {to}")
    mend = [
        f"Keep a pod:  {patch}     (podReserved is {spec.pod_reserved})",
        f"Or wait, or raise spec.priority of partition {of.name}; it is {spec.priority}.",
    ]
    look = [f"armonikctl explain partition/{other}"] if other else of.look
    chain = [Link(subject=f"partition {other}", why="has a higher priority")] if other else []
    return Finding(why, mend, look, of.since, chain=chain)


def _unschedulable(of: Pods) -> Finding:
    pod = of.first(lambda pod: pod.unschedulable)
    words = clean(pod.unschedulable or of.said).partition(" preemption: ")[0]
    lacking = sorted(set(_LACKING.findall(words)))
    mend = (
        f"Add a node with {' and '.join(lacking)}, or ask for less in template.spec.worker.resources"
        f" of partition {of.name}."
        if lacking
        else f"Add a node that fits, or change what template.spec of partition {of.name} asks of nodes."
    )
    chain = [Link(subject=f"pod {pod.name}", reason="Unschedulable", why=words)] if pod.name else []
    why = of.none(f"no node fits. The scheduler says: {words}")
    return Finding(why, [mend], of.look, of.since, chain=chain)


def _image(of: Pods) -> Finding:
    pod = of.first(lambda pod: pod.waits in _OF_NO_REGISTRY or "ull" in pod.waits)
    said = pod.message or of.said
    named = _IMAGE.search(said) or _IMAGE.search(pod.warning)
    image = (
        named[1] if named else pod.image or of.partition.spec.template.spec.worker.image or "of its worker"
    )
    causes = [_cause(text, image) for text in (said, of.said, pod.warning)]
    cause = next(filter(None, causes), _OF_NO_REGISTRY.get(pod.waits) or "the registry's answer is not known")
    mend = (
        "Check name and tag; for a private registry set template.spec.imagePullSecrets."
        " The pods come by themselves once it can be pulled."
    )
    look = [f"kubectl describe pod {pod.name}"] if pod.name else of.look
    chain = [Link(subject=f"pod {pod.name}", reason=pod.waits, why=clean(said))] if pod.name else []
    return Finding(of.none(f"image {image} cannot be pulled: {cause}"), [mend], look, chain=chain)


def _cause(text: str, image: str) -> str:
    """The end of a chain of errors, as the registry or the network gave it; empty where there is none."""
    last = clean(text).rpartition(": ")[2].strip(" .")
    begins = ("Back-off pulling image", "failed to pull image", WORKER_CONTAINER)
    return "" if not last or image in last or last.startswith(begins) else last


def _crashing(of: Pods) -> Finding:
    pod = of.first(lambda pod: pod.restarts or pod.exit_code is not None)
    if not pod.name:
        how = sentence(of.said)
        why = f"The worker of partition {of.name} ends as soon as it starts. {how}".rstrip()
        return Finding(why, [_OTHER_WORKER], of.look)
    times = f"{pod.restarts} times" if pod.restarts > 1 else "once"
    lasted = f" in {duration(seconds_between(pod.created, of.now))}" if pod.created else ""
    code = f"exit code {pod.exit_code}" if pod.exit_code is not None else "exit code unknown"
    killed = f" ({pod.killed})" if pod.killed else ""
    words = last_line(pod.last_words)
    why = f"The worker of partition {of.name} ends as soon as it starts: {code}{killed}, {times}{lasted}."
    why += f" Its last words:\n    {words}" if words else ""
    mend = [_OTHER_WORKER]
    if pod.killed == "OOMKilled":
        mend.insert(0, f"Raise template.spec.worker.resources.limits.memory of partition {of.name}.")
    look = f"kubectl logs {pod.name} -c {pod.container or WORKER_CONTAINER} --previous"
    link = Link(subject=f"pod {pod.name}", reason=pod.waits or "Error", why=words or f"{code}{killed}")
    return Finding(why, mend, [look], chain=[link])


_OTHER_WORKER: Final = (
    "Mend the image or template.spec.worker.command; new pods are tried by themselves,"
    " and at once when the template changes."
)


def _not_started(of: Pods) -> Finding:
    pod = of.first(lambda pod: pod.warning or pod.message)
    look = [f"kubectl describe pod {pod.name}"] if pod.name else of.look
    mend = "Create what is missing, or correct template.spec; the pod is then started by itself."
    chain = [Link(subject=f"pod {pod.name}", why=clean(pod.warning or pod.message))] if pod.name else []
    return Finding(of.none(f"one cannot be set up. {sentence(of.said)}"), [mend], look, of.since, chain=chain)


def _refused(of: Pods) -> Finding:
    mend = f"Correct spec.template of partition {of.name}."
    look = [f"kubectl describe akp {of.name}"]
    return Finding(of.none(f"the apiserver refuses them. {sentence(of.said)}"), [mend], look, of.since)


def _quota(of: Pods) -> Finding:
    found = _QUOTA.search(of.said)
    name = found[1] if found else ""
    mend = f"Raise the quota, or ask for less in template.spec.worker.resources of partition {of.name}."
    chain = [Link(subject=f"quota {name}", reason=Reason.QUOTA_EXCEEDED, why=of.said)] if name else []
    why = of.none(f"a quota of the namespace allows no more. {sentence(of.said)}")
    return Finding(why, [mend], [f"kubectl describe resourcequota {name}".rstrip()], of.since, chain=chain)


def _server(of: Pods) -> Finding:
    why = of.none(f"{of.said or 'a server cannot be reached'}")
    return Finding(why, [NOTHING_LOST], ["armonikctl doctor"], of.since)


def _unreadable(of: Pods) -> Finding:
    mend = f"Correct partition {of.name} and apply it again."
    look = [f"kubectl get akp {of.name} -o yaml"]
    return Finding(of.none(f"the operator cannot read it. {sentence(of.said)}"), [mend], look, of.since)


def _shared(of: Pods) -> Finding:
    status = of.partition.status
    isolated = find_condition(status.conditions, ConditionType.ISOLATED) if status is not None else None
    said = sentence(isolated.message) if isolated is not None else ""
    return Finding(f"Other namespaces can reach its data. {said}".rstrip(), look=["armonikctl doctor"])


ROWS: Final[Mapping[str, Callable[[Pods], Finding]]] = {
    Reason.SERVING: _serving,
    Reason.SCALED_TO_ZERO: _scaled_to_zero,
    Reason.STARTING: _starting,
    Reason.PREEMPTED: _preempted,
    Reason.UNSCHEDULABLE: _unschedulable,
    Reason.IMAGE_PULL_FAILED: _image,
    Reason.WORKER_CRASH_LOOPING: _crashing,
    Reason.POD_START_FAILED: _not_started,
    Reason.TEMPLATE_INVALID: _refused,
    Reason.QUOTA_EXCEEDED: _quota,
    Reason.QUEUE_UNAVAILABLE: _server,
    Reason.STORE_UNAVAILABLE: _server,
    Reason.MANIFEST_INVALID: _unreadable,
    Reason.SHARED: _shared,
}
"""By the reason of `Ready`, and of `Isolated`."""
