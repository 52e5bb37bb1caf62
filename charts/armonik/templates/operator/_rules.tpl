{{/*
What the operator does in a namespace it serves. Exactly the verbs used: nothing here reads pods' logs, executes in
pods, or writes a spec of ours.

Where RBAC can name the object it does. It cannot for `list`, `watch`, `deletecollection` and for a `create` by POST
(the name is not known when the request is judged): pods and tasks. A `create` that comes about by server-side apply
is judged with its name, which is how service accounts, secrets and config maps are made.
*/}}
{{- define "armonik.servedRules" -}}
- apiGroups: [armonik.io]
  resources: [sessions]
  verbs: [get, list, watch, patch]   # patch: the finalizer; a session's spec is its user's
- apiGroups: [armonik.io]
  resources: [partitions]
  verbs: [get, list, watch]
- apiGroups: [armonik.io]
  resources: [tasks]
  verbs: [get, list, watch, create, delete, deletecollection]   # create: sub-tasks; delete: TTL, session deletion
- apiGroups: [armonik.io]
  resources: [sessions/status, tasks/status, partitions/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, delete]   # the partitions' pods, and dry runs of their templates
- apiGroups: [""]
  resources: [serviceaccounts]
  resourceNames: [armonik-agent]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [armonik-agent, armonik-client]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [armonik-service-configuration]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}
