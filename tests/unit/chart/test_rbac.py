"""Who may do what: the operator's rights word by word, and what nobody is given."""

from __future__ import annotations

import pytest

from rendering import Helm, Object, Values, hooks, named, of_kind

ALL_ON: Values = {"purgeOnUninstall": True}

Rights = dict[str, set[str]]
"""`group/resource[name,…]` → verbs."""

CUSTOM_KINDS = "partitions.armonik.io,sessions.armonik.io,tasks.armonik.io"

# In every namespace it serves.
SERVED: Rights = {
    "armonik.io/sessions": {"get", "list", "watch", "patch", "delete"},
    "armonik.io/partitions": {"list", "watch"},
    "armonik.io/tasks": {"get", "list", "watch", "create", "delete", "deletecollection"},
    "armonik.io/sessions/status": {"patch"},
    "armonik.io/tasks/status": {"patch"},
    "armonik.io/partitions/status": {"patch"},
    "armonik.io/partitions/finalizers": {"update"},
    "/pods": {"list", "watch", "create", "delete"},
    "/serviceaccounts[armonik-agent]": {"create", "patch"},
    "/secrets[armonik-agent,armonik-client]": {"create", "patch"},
    "/configmaps[armonik-service-configuration]": {"create", "patch"},
    "/namespaces": {"get"},
    "/events": {"create", "list"},
}
# Of the cluster itself.
CLUSTER: Rights = {
    f"apiextensions.k8s.io/customresourcedefinitions[{CUSTOM_KINDS}]": {"create", "patch"},
}
NAMESPACES: Rights = {
    "/namespaces": {"get", "list", "watch"},
    "apiextensions.k8s.io/customresourcedefinitions": {"list", "watch"},
}
# In the release's namespace.
RELEASE: Rights = {
    "coordination.k8s.io/leases[armonik-operator]": {"get", "patch"},
    "coordination.k8s.io/leases": {"create"},
    "/secrets[armonik-nats]": {"get", "create", "patch"},
    "/secrets[armonik-s3]": {"get", "create", "patch"},
    "/pods": {"list", "delete"},
}


def rights(role: Object) -> Rights:
    found: Rights = {}
    for rule in role["rules"]:
        names = f"[{','.join(sorted(rule['resourceNames']))}]" if "resourceNames" in rule else ""
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault(f"{group}/{resource}{names}", set()).update(rule["verbs"])
    return found


def test_operator_cluster_wide(helm: Helm) -> None:
    objects = helm.render()
    assert rights(named(objects, "ClusterRole", "armonik-operator")) == CLUSTER | SERVED
    assert rights(named(objects, "Role", "armonik-operator")) == RELEASE
    _bound_to_operator(
        named(objects, "ClusterRoleBinding", "armonik-operator"), "ClusterRole", "armonik-operator"
    )
    _bound_to_operator(named(objects, "RoleBinding", "armonik-operator"), "Role", "armonik-operator")


def test_operator_of_two_namespaces_has_no_rights_elsewhere(helm: Helm) -> None:
    objects = helm.render({"watchNamespaces": ["a", "b"]})
    assert rights(named(objects, "ClusterRole", "armonik-operator")) == CLUSTER | NAMESPACES
    for namespace in ("a", "b"):
        assert rights(named(objects, "Role", "armonik-operator-served", namespace)) == SERVED
        binding = named(objects, "RoleBinding", "armonik-operator-served", namespace)
        _bound_to_operator(binding, "Role", "armonik-operator-served")
    assert rights(named(objects, "Role", "armonik-operator", "armonik-system")) == RELEASE


def _bound_to_operator(binding: Object, kind: str, name: str) -> None:
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "armonik-operator", "namespace": "armonik-system"}
    ]


def test_kinds_are_left_alone_when_configured_so(helm: Helm) -> None:
    role = named(helm.render({"crds": {"manage": False}}), "ClusterRole", "armonik-operator")
    assert not any("customresourcedefinitions[" in where for where in rights(role))


def test_secrets_of_external_servers_are_the_ones_read(helm: Helm) -> None:
    values: Values = {
        "nats": {"external": {"url": "nats://n:4222", "existingSecret": "my-nats"}},
        "objectStore": {"external": {"endpoint": "s:9000", "existingSecret": "my-s3"}},
    }
    granted = rights(named(helm.render(values), "Role", "armonik-operator"))
    assert (granted["/secrets[my-nats]"], granted["/secrets[my-s3]"]) == ({"get"}, {"get"})
    assert "/secrets" not in granted


def test_roles_for_people(helm: Helm) -> None:
    objects = helm.render()
    read, write = {"get", "list", "watch"}, {"create", "update", "patch", "delete", "deletecollection"}
    connect: Rights = {
        "/secrets[armonik-client]": {"get"},
        "/configmaps[armonik-service-configuration]": {"get"},
    }
    expected: dict[str, Rights] = {
        "view": {"armonik.io/sessions": read, "armonik.io/tasks": read, "armonik.io/partitions": read},
        "edit": {
            "armonik.io/sessions": read | write,
            "armonik.io/tasks": read | write,
            "armonik.io/partitions": read,
        }
        | connect,
        "admin": {f"armonik.io/{kind}": read | write for kind in ("sessions", "tasks", "partitions")}
        | {"armonik.io/partitions/scale": {"get", "update", "patch"}}
        | connect,
    }
    for name, granted in expected.items():
        role = named(objects, "ClusterRole", f"armonik-{name}")
        assert rights(role) == granted
        aggregated = {k: v for k, v in role["metadata"]["labels"].items() if "aggregate-to" in k}
        assert aggregated == {f"rbac.authorization.k8s.io/aggregate-to-{name}": "true"}


def test_connecting_from_outside_opens_two_ports_and_no_more(helm: Helm) -> None:
    subject = {"kind": "User", "name": "ada", "apiGroup": "rbac.authorization.k8s.io"}
    objects = helm.render({"userRoles": {"connect": {"subjects": [subject]}}})
    assert rights(named(objects, "Role", "armonik-connect")) == {
        "/services[armonik-nats,armonik-s3]": {"get"},
        "/pods": {"get", "list"},
        "/pods/portforward": {"get", "create"},
    }
    assert named(objects, "RoleBinding", "armonik-connect")["subjects"] == [subject]
    assert not [
        o for o in of_kind(helm.render(), "RoleBinding") if o["metadata"]["name"] == "armonik-connect"
    ]


@pytest.mark.parametrize(
    "values", [ALL_ON, ALL_ON | {"watchNamespaces": ["a"]}], ids=["all", "one-namespace"]
)
def test_no_wildcards_and_nothing_that_leads_further(helm: Helm, values: Values) -> None:
    for role in of_kind(helm.render(values), "Role", "ClusterRole"):
        name = role["metadata"]["name"]
        for where, verbs in rights(role).items():
            assert "*" not in where, name
            assert not verbs & {"*", "escalate", "bind", "impersonate"}, name
            assert "roles" not in where, name
            assert "pods/exec" not in where, name
            assert "secrets" not in where or "[" in where, name


def test_status_and_finalizers_are_the_operators_alone(helm: Helm) -> None:
    for role in of_kind(helm.render(ALL_ON), "Role", "ClusterRole"):
        writes_status = any(where.endswith(("/status", "/finalizers")) for where in rights(role))
        assert writes_status == (
            role["kind"] == "ClusterRole" and role["metadata"]["name"] == "armonik-operator"
        )


def test_without_rbac_no_role_at_all(helm: Helm) -> None:
    objects = helm.render(
        {"rbac": {"create": False}, "userRoles": {"create": False}, "purgeOnUninstall": True}
    )
    kinds = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
    assert of_kind(objects, *kinds) == []


def test_every_binding_names_a_role_and_an_account_of_the_chart(helm: Helm) -> None:
    for values in (ALL_ON, ALL_ON | {"watchNamespaces": ["a", "b"]}):
        objects = helm.render(values)
        for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
            reference = binding["roleRef"]
            role = named(objects, reference["kind"], reference["name"], binding["metadata"].get("namespace"))
            assert hooks(role) == hooks(binding)
            for subject in binding["subjects"]:
                named(objects, "ServiceAccount", subject["name"], subject["namespace"])


def test_templates_of_partitions_are_written_by_who_may_create_pods(helm: Helm) -> None:
    objects = helm.render()
    policy = named(objects, "ValidatingAdmissionPolicy", "armonik-partitions")["spec"]
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == (["partitions"], ["CREATE", "UPDATE"])
    assert policy["failurePolicy"] == "Fail"
    binding = named(objects, "ValidatingAdmissionPolicyBinding", "armonik-partitions")["spec"]
    assert binding == {"policyName": "armonik-partitions", "validationActions": ["Deny"]}


def test_the_policy_is_bound_to_the_namespaces_that_are_served(helm: Helm) -> None:
    objects = helm.render({"watchNamespaces": ["a", "b"]}, release="second")
    name = "second-armonik-partitions"
    binding = named(objects, "ValidatingAdmissionPolicyBinding", name)["spec"]
    assert binding["matchResources"]["namespaceSelector"]["matchExpressions"] == [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]}
    ]
    assert binding["policyName"] == named(objects, "ValidatingAdmissionPolicy", name)["metadata"]["name"]


def test_without_the_policy_nothing_of_it_is_there(helm: Helm) -> None:
    objects = helm.render({"partitionPolicy": {"enabled": False}})
    assert not of_kind(objects, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
