{{/*
What the operator does in a namespace it serves. Exactly the verbs used: it reads no logs, executes in no pod, and
writes no spec of ours.

Where RBAC can name the object it does. It cannot for `list`, `watch`, `deletecollection`, nor for a `create` by POST,
where the name is not known when the request is judged: pods, tasks and events. A `create` that comes about by
server-side apply is judged with its name; that is how service accounts, secrets and config maps are made here.
*/}}
{{- define "armonik.servedRules" -}}
- apiGroups: [armonik.io]
  resources: [sessions]
  verbs: [get, list, watch, patch, delete]   # get, patch: its finalizer; delete: TTL
- apiGroups: [armonik.io]
  resources: [partitions]
  verbs: [list, watch]
- apiGroups: [armonik.io]
  resources: [tasks]
  verbs: [get, list, watch, create, delete, deletecollection]   # create: sub-tasks; delete: TTL, session deletion
- apiGroups: [armonik.io]
  resources: [sessions/status, tasks/status, partitions/status]
  verbs: [patch]
# Pods name their Partition as an owner that waits for them; where owners are checked (OpenShift) that needs this.
- apiGroups: [armonik.io]
  resources: [partitions/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, create, delete]   # the partitions' pods, and dry runs of their templates
- apiGroups: [""]
  resources: [serviceaccounts]
  resourceNames: [armonik-agent]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [armonik-agent, armonik-client]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [armonik-service-configuration]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]   # their bound of elements
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]   # its own; and why pods of Partitions do not start
{{- end }}
