"""Uninstalling and `helm test`: what runs when, with which rights, and what a purge adds."""

from __future__ import annotations

from test_rbac import CUSTOM_KINDS, rights

from rendering import Helm, Object, Values, environment, hooks, named, of_kind

PURGE: Values = {"purgeOnUninstall": True}


def test_finalizers_go_before_the_operator_does(helm: Helm) -> None:
    objects = helm.render()
    job = named(objects, "Job", "armonik-cleanup-pre-delete")
    assert hooks(job) == ["pre-delete"]
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["python", "-m", "armonik_operator.app.uninstall", "--stage", "pre-delete"]
    told = environment(container)
    assert told["ARMONIK_DEPLOYMENT"] == named(objects, "Deployment", "armonik-operator")["metadata"]["name"]
    assert told["ARMONIK_PURGE"] == "false"


def test_without_purge_nothing_of_the_users_can_be_deleted(helm: Helm) -> None:
    objects = helm.render()
    assert rights(named(objects, "ClusterRole", "armonik-cleanup-pre-delete")) == {
        "armonik.io/sessions": {"list", "patch"},
        "/pods": {"list", "delete"},
    }
    assert rights(named(objects, "Role", "armonik-cleanup-pre-delete")) == {
        "apps/deployments[armonik-operator]": {"patch"},
    }
    assert [o["metadata"]["name"] for o in objects if "post-delete" in hooks(o)] == []


def test_purge_deletes_what_was_made_and_the_kinds_last(helm: Helm) -> None:
    objects = helm.render(PURGE)
    before = named(objects, "Job", "armonik-cleanup-pre-delete")
    after = named(objects, "Job", "armonik-cleanup-post-delete")
    assert hooks(after) == ["post-delete"]
    for job in (before, after):
        assert environment(job["spec"]["template"]["spec"]["containers"][0])["ARMONIK_PURGE"] == "true"
    # Helm deletes the default Partition between the two; with its kind gone it would fail.
    kinds = f"apiextensions.k8s.io/customresourcedefinitions[{CUSTOM_KINDS}]"
    # The lists show whether another installation uses them.
    used = {f"armonik.io/{plural}": {"list"} for plural in ("sessions", "tasks", "partitions")}
    granted = rights(named(objects, "ClusterRole", "armonik-cleanup-post-delete"))
    assert granted == {kinds: {"delete"}} | used
    assert not any(
        "customresourcedefinitions" in w
        for w in rights(named(objects, "ClusterRole", "armonik-cleanup-pre-delete"))
    )


def test_purge_never_names_a_secret_of_the_users(helm: Helm) -> None:
    values = PURGE | {
        "nats": {"external": {"url": "nats://n:4222", "existingSecret": "my-nats"}},
        "objectStore": {"external": {"endpoint": "s:9000", "existingSecret": "my-s3"}},
    }
    objects = helm.render(values)
    told = environment(
        named(objects, "Job", "armonik-cleanup-pre-delete")["spec"]["template"]["spec"]["containers"][0]
    )
    assert (told["ARMONIK_NATS_SECRET"], told["ARMONIK_S3_SECRET"]) == ("", "")


def test_in_two_namespaces_the_hook_reaches_those_two(helm: Helm) -> None:
    objects = helm.render(PURGE | {"watchNamespaces": ["a", "b"]})
    assert not [
        o for o in of_kind(objects, "ClusterRole") if o["metadata"]["name"] == "armonik-cleanup-pre-delete"
    ]
    for namespace in ("a", "b"):
        granted = rights(named(objects, "Role", "armonik-cleanup-pre-delete-served", namespace))
        assert granted["armonik.io/sessions"] >= {"list", "patch", "delete"}
    told = environment(
        named(objects, "Job", "armonik-cleanup-pre-delete")["spec"]["template"]["spec"]["containers"][0]
    )
    assert told["ARMONIK_WATCH_NAMESPACES"] == "a,b"


def test_hooks_bring_what_they_need_and_take_it_away(helm: Helm) -> None:
    objects = helm.render(PURGE)
    for found in (o for o in objects if hooks(o)):
        annotations = found["metadata"]["annotations"]
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
        runs = found["kind"] in ("Job", "Pod")
        assert annotations["helm.sh/hook-weight"] == ("0" if runs else "-5")
        if runs:
            spec = found["spec"]["template"]["spec"] if found["kind"] == "Job" else found["spec"]
            account = named(objects, "ServiceAccount", spec["serviceAccountName"])
            assert hooks(account) == hooks(found)
            assert spec["restartPolicy"] == "Never"
            assert (found["spec"].get("activeDeadlineSeconds") or 0) > 0


def test_selftest_runs_a_task_where_the_default_partition_is(helm: Helm) -> None:
    objects = helm.render({"defaultPartition": {"name": "cpu", "namespace": "work"}})
    pod = named(objects, "Pod", "armonik-selftest")
    assert hooks(pod) == ["test"]
    container = pod["spec"]["containers"][0]
    assert container["command"] == ["python", "-m", "armonik_sdk.client.selftest"]
    assert environment(container) == {
        "ARMONIK_SELFTEST_NAMESPACE": "work",
        "ARMONIK_SELFTEST_PARTITION": "cpu",
        "ARMONIK_SELFTEST_TIMEOUT": "120",
    }
    role: Object = named(objects, "Role", "armonik-selftest", "work")
    assert rights(role)["armonik.io/tasks"] == {"get", "list", "watch", "create", "patch", "delete"}
