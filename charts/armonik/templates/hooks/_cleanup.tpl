{{/*
A clean-up Job with the account and rights it needs, all of them hooks so that they exist whatever of the release is
already gone: (dict "root" $ "stage" "pre-delete" "clusterRules" … "servedRules" … "releaseRules" …), each a text of RBAC
rules that hold cluster-wide, in the served namespaces, and in the release's own.
*/}}
{{- define "armonik.cleanupHook" -}}
{{- $root := .root -}}
{{- $name := printf "%s-cleanup-%s" (include "armonik.name" $root) .stage -}}
{{- $labels := include "armonik.labels" (dict "root" $root "component" "cleanup") -}}
{{- $hook := dict "helm.sh/hook" .stage "helm.sh/hook-weight" "-5" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{ $labels | nindent 4 }}
  annotations: {{ toYaml $hook | nindent 4 }}
automountServiceAccountToken: false
{{- if $root.Values.rbac.create }}
{{- $clusterRules := .clusterRules -}}
{{- if not $root.Values.watchNamespaces }}{{ $clusterRules = printf "%s\n%s" .clusterRules .servedRules | trim }}{{ end }}
{{- if $clusterRules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $name }}
  labels: {{ $labels | nindent 4 }}
  annotations: {{ toYaml $hook | nindent 4 }}
rules: {{ $clusterRules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $name }}
  labels: {{ $labels | nindent 4 }}
  annotations: {{ toYaml $hook | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $name }}}
subjects:
  - {kind: ServiceAccount, name: {{ $name }}, namespace: {{ $root.Release.Namespace }}}
{{- end }}
{{- /* Rules by namespace: the release's own, then those served when not all are. */ -}}
{{- $roles := list -}}
{{- if .releaseRules }}{{ $roles = append $roles (dict "namespace" $root.Release.Namespace "suffix" "" "rules" .releaseRules) }}{{ end }}
{{- if .servedRules }}
{{- $served := .servedRules -}}
{{- range $root.Values.watchNamespaces }}{{ $roles = append $roles (dict "namespace" . "suffix" "-served" "rules" $served) }}{{ end }}
{{- end }}
{{- range $roles }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}{{ .suffix }}
  namespace: {{ .namespace }}
  labels: {{ $labels | nindent 4 }}
  annotations: {{ toYaml $hook | nindent 4 }}
rules: {{ .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}{{ .suffix }}
  namespace: {{ .namespace }}
  labels: {{ $labels | nindent 4 }}
  annotations: {{ toYaml $hook | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $name }}{{ .suffix }}}
subjects:
  - {kind: ServiceAccount, name: {{ $name }}, namespace: {{ $root.Release.Namespace }}}
{{- end }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{ $labels | nindent 4 }}
  annotations: {{ toYaml (merge (dict "helm.sh/hook-weight" "0") $hook) | nindent 4 }}
spec:
  backoffLimit: 3
  activeDeadlineSeconds: {{ $root.Values.cleanup.activeDeadlineSeconds }}
  template:
    metadata:
      labels: {{ $labels | nindent 8 }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ $name }}
      automountServiceAccountToken: true
      enableServiceLinks: false
      securityContext: {{ include "armonik.podSecurityContext" $root | nindent 8 }}
      {{- include "armonik.placement" (dict "root" $root "at" $root.Values.operator) | nindent 6 }}
      containers:
        - name: cleanup
          image: {{ include "armonik.image" (dict "root" $root "image" $root.Values.operator.image) | quote }}
          imagePullPolicy: {{ $root.Values.operator.image.pullPolicy }}
          command: [python, -m, armonik_operator.app.uninstall, --stage, {{ .stage }}]
          env:
            - {name: ARMONIK_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
            - {name: ARMONIK_RELEASE, value: {{ $root.Release.Name | quote }}}
            - {name: ARMONIK_DEPLOYMENT, value: {{ include "armonik.name" $root }}-operator}
            - {name: ARMONIK_WATCH_NAMESPACES, value: {{ join "," $root.Values.watchNamespaces | quote }}}
            - {name: ARMONIK_PURGE, value: {{ $root.Values.purgeOnUninstall | quote }}}
            # Only what the operator made may be deleted: never a secret of the user's.
            - {name: ARMONIK_NATS_SECRET, value: {{ ternary "" "armonik-nats" (not (empty $root.Values.nats.external.url)) | quote }}}
            - {name: ARMONIK_S3_SECRET, value: {{ ternary "" "armonik-s3" (not (empty $root.Values.objectStore.external.endpoint)) | quote }}}
            - {name: ARMONIK_LOG_LEVEL, value: {{ $root.Values.operator.logLevel | quote }}}
          resources: {{ toYaml $root.Values.cleanup.resources | nindent 12 }}
          securityContext: {{ include "armonik.containerSecurityContext" $root | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: 64Mi}
{{- end }}
