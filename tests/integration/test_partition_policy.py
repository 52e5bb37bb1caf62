"""Who may write the template of a Partition: the chart's ValidatingAdmissionPolicy on a real apiserver."""

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from apiserver import ApiServer, as_list
from manifests import partition

from rendering import Helm, named

pytestmark = pytest.mark.integration

POLICY_KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
POLICY = "armonik-partitions"
RBAC = "rbac.authorization.k8s.io"
POLICY_SECONDS = 60.0
"""In which the apiserver has a policy in force."""
Object = dict[str, Any]


class Cluster:
    """A namespace with the chart's roles and its policy."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server = server
        self.namespace = namespace

    def apply(self, *objects: Object) -> None:
        done = self.server.kubectl("apply", "-f", "-", stdin=as_list(*objects))
        assert done.returncode == 0, done.stderr

    def bind(self, user: str, role: str) -> None:
        """Give a user a cluster role in the namespace."""
        meta = {"name": f"{user}-{role}".replace(":", "-"), "namespace": self.namespace}
        self.apply(
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding",
                "metadata": meta,
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "User", "apiGroup": RBAC, "name": user}],
            }
        )

    def write(self, user: str, name: str, spec: Object, *more: str) -> subprocess.CompletedProcess[str]:
        words = (
            "apply",
            "--server-side",
            "--force-conflicts",
            f"--as={user}",
            "--namespace",
            self.namespace,
            *more,
        )
        return self.server.kubectl(*words, "-f", "-", stdin=partition(spec, name))

    def patch(self, user: str, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.server.kubectl(
            *("patch", f"partition/{name}", f"--as={user}", "--namespace", self.namespace, "--type=merge"),
            *words,
        )


@pytest.fixture
def cluster(apiserver: ApiServer, namespace: str, helm: Helm) -> Iterator[Cluster]:
    """Users: `admin` has Kubernetes' rights and ours, `partitions` has only `armonik-admin`."""
    made = Cluster(apiserver, namespace)
    objects = helm.render({"watchNamespaces": [namespace]})
    made.apply(
        named(objects, "ClusterRole", "armonik-admin"),
        *(named(objects, kind, POLICY) for kind in POLICY_KINDS),
    )
    for user, role in (
        ("partitions", "armonik-admin"),
        ("admin-there", "armonik-admin"),
        ("admin-there", "system:aggregate-to-edit"),  # what Kubernetes' admin has of pods
    ):
        made.bind(user, role)
    deadline = time.monotonic() + POLICY_SECONDS
    while made.write("partitions", "probe", {}, "--dry-run=server").returncode == 0:
        assert time.monotonic() < deadline, f"the policy is not in force after {POLICY_SECONDS} s"
        time.sleep(0.2)
    yield made
    for kind in POLICY_KINDS:
        assert apiserver.kubectl("delete", kind, POLICY).returncode == 0


def test_who_may_create_pods_writes_partitions(cluster: Cluster) -> None:
    assert (done := cluster.write("admin-there", "a", {})).returncode == 0, done.stderr
    changed = {"template": {"spec": {"worker": {"image": "example.org/other:1"}}}}
    assert (done := cluster.write("admin-there", "a", changed)).returncode == 0, done.stderr


def test_who_may_not_create_pods_is_refused_with_the_field_and_the_remedy(cluster: Cluster) -> None:
    done = cluster.write("partitions", "a", {})
    assert done.returncode != 0
    for words in (
        "spec.template: user partitions may not create pods",
        f"in namespace {cluster.namespace}",
        f"--clusterrole=edit --user=partitions --namespace={cluster.namespace}",
    ):
        assert words in done.stderr
    cluster.bind("partitions", "system:aggregate-to-edit")
    assert (done := cluster.write("partitions", "a", {})).returncode == 0, done.stderr


def test_a_template_that_another_one_wrote_is_scaled_but_not_changed(cluster: Cluster) -> None:
    assert cluster.write("admin-there", "a", {}).returncode == 0
    for allowed in ('{"spec":{"podMax":5,"priority":7}}', '{"metadata":{"labels":{"team":"a"}}}'):
        assert (done := cluster.patch("partitions", "a", "-p", allowed)).returncode == 0, done.stderr
    scaled = cluster.patch("partitions", "a", "--subresource=scale", "-p", '{"spec":{"replicas":2}}')
    assert scaled.returncode == 0, scaled.stderr
    image = '{"spec":{"template":{"spec":{"worker":{"image":"example.org/other:1"}}}}}'
    assert "may not create pods" in cluster.patch("partitions", "a", "-p", image).stderr


def test_other_namespaces_are_left_to_other_installations(cluster: Cluster, apiserver: ApiServer) -> None:
    elsewhere = Cluster(apiserver, f"{cluster.namespace}-other")
    elsewhere.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": elsewhere.namespace}})
    elsewhere.bind("partitions", "armonik-admin")
    assert (done := elsewhere.write("partitions", "a", {})).returncode == 0, done.stderr


def test_the_policy_has_no_expression_that_the_apiserver_warns_of(cluster: Cluster) -> None:
    path = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{POLICY}"
    _, policy = cluster.server.request("GET", path)
    assert not policy.get("status", {}).get("typeChecking", {}).get("expressionWarnings")
