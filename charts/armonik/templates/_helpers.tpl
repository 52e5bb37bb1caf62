{{/* Base of all names. The release is the name: services are `<release>-nats`, `<release>-s3`. */}}
{{- define "armonik.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* Prefix of cluster-wide role names: `armonik` for a release of that name. */}}
{{- define "armonik.userRolePrefix" -}}
{{- if contains "armonik" .Release.Name }}{{ include "armonik.name" . }}{{ else }}{{ include "armonik.name" . }}-armonik{{ end -}}
{{- end }}

{{- define "armonik.selectorLabels" -}}
app.kubernetes.io/name: armonik
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of an object: (dict "root" $ "component" "nats"). */}}
{{- define "armonik.labels" -}}
{{ include "armonik.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: armonik
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Image reference: (dict "root" $ "image" .Values.nats.image). */}}
{{- define "armonik.image" -}}
{{- with .root.Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "armonik.operatorServiceAccount" -}}
{{- .Values.operator.serviceAccount.name | default (printf "%s-operator" (include "armonik.name" .)) -}}
{{- end }}

{{/* Pod security context of the restricted profile. OpenShift chooses the ids itself. */}}
{{- define "armonik.podSecurityContext" -}}
runAsNonRoot: true
{{- if not .Values.podSecurity.openshift }}
runAsUser: 65532
runAsGroup: 0
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "armonik.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Scheduling fields of every pod of the chart: (dict "root" $ "at" .Values.nats). */}}
{{- define "armonik.placement" -}}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .at.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .at.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .at.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .at.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- define "armonik.natsUrl" -}}
{{- if .Values.nats.external.url }}{{ .Values.nats.external.url }}{{ else }}{{ ternary "tls" "nats" (eq (include "armonik.natsTls" .) "true") }}://{{ include "armonik.name" . }}-nats.{{ .Release.Namespace }}.svc:4222{{ end -}}
{{- end }}

{{- define "armonik.natsSecret" -}}
{{- if .Values.nats.external.url }}{{ .Values.nats.external.existingSecret }}{{ else }}armonik-nats{{ end -}}
{{- end }}

{{/* Whether each namespace has accounts of its own on NATS: as is said, else on the chart's own server. */}}
{{- define "armonik.natsAccounts" -}}
{{- $enabled := .Values.nats.accounts.enabled -}}
{{- ternary (empty .Values.nats.external.url) $enabled (kindIs "invalid" $enabled) -}}
{{- end }}

{{/*
Refuses to change between users that namespaces share and accounts: streams are not moved, so all unfinished work would be
lost. Sees nothing in `helm template`; there the operator refuses the Secret of the other way, and changes nothing.
*/}}
{{- define "armonik.checkAccounts" -}}
{{- if not .Values.nats.external.url }}
{{- with (lookup "v1" "Secret" .Release.Namespace "armonik-nats").data }}
{{- $accounts := eq (include "armonik.natsAccounts" $) "true" }}
{{- $had := hasKey . "accounts-seed" }}
{{- if and (ne $accounts $had) (or $had (hasKey . "operator-password")) }}
{{- $words := dict "true" "have accounts of their own on" "false" "share the users of" }}
{{- $name := printf "%s-nats" (include "armonik.name" $) }}
{{- $remedy := printf "kubectl -n %s delete statefulset/%s secret/armonik-nats pvc/data-%s-0" $.Release.Namespace $name $name }}
{{- fail (printf "the namespaces of this installation %s NATS, and its streams are not moved: keep it so with nats.accounts.enabled=%t; or let all Sessions end, read their results and delete them, then run `%s` and upgrade again (docs/install.md, Change between shared users and accounts)" (index $words (toString $had)) $had $remedy) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "armonik.s3Endpoint" -}}
{{- if .Values.objectStore.external.endpoint }}{{ .Values.objectStore.external.endpoint }}{{ else }}{{ include "armonik.name" . }}-s3.{{ .Release.Namespace }}.svc:8333{{ end -}}
{{- end }}

{{- define "armonik.s3Secure" -}}
{{- if .Values.objectStore.external.endpoint }}{{ .Values.objectStore.external.secure }}{{ else }}{{ eq (include "armonik.s3Tls" .) "true" }}{{ end -}}
{{- end }}

{{- define "armonik.s3Provisioner" -}}
{{- if .Values.objectStore.external.endpoint }}{{ .Values.objectStore.external.provisioner }}{{ else }}{{ .Values.objectStore.server }}{{ end -}}
{{- end }}

{{/* Whether no namespace reaches the data of another one: `true` or nothing. */}}
{{- define "armonik.apart" -}}
{{- $one := eq (len .Values.watchNamespaces) 1 }}
{{- $own := and (eq (include "armonik.natsAccounts" .) "true") (ne (include "armonik.s3Provisioner" .) "static") }}
{{- if or $one $own }}true{{ end -}}
{{- end }}

{{/* Whether the chart's NATS speaks TLS: `true` or nothing. Unset, it does where it is opened to the network so. */}}
{{- define "armonik.natsTls" -}}
{{- $opened := and .Values.nats.outside.service.type (hasPrefix "tls://" .Values.nats.outside.url) }}
{{- if and (not .Values.nats.external.url) (ternary $opened .Values.tls.enabled (kindIs "invalid" .Values.tls.enabled)) }}true{{ end -}}
{{- end }}

{{/* The same of the chart's object store. */}}
{{- define "armonik.s3Tls" -}}
{{- $outside := .Values.objectStore.outside }}
{{- $opened := and $outside.service.type $outside.endpoint $outside.secure }}
{{- if and (not .Values.objectStore.external.endpoint) (ternary $opened .Values.tls.enabled (kindIs "invalid" .Values.tls.enabled)) }}true{{ end -}}
{{- end }}

{{/* The chart's servers that speak TLS, joined by commas. */}}
{{- define "armonik.tlsServers" -}}
{{- $servers := list }}
{{- if include "armonik.natsTls" . }}{{ $servers = append $servers "nats" }}{{ end }}
{{- if include "armonik.s3Tls" . }}{{ $servers = append $servers "s3" }}{{ end }}
{{- join "," $servers -}}
{{- end }}

{{/* What a server's certificate is for, joined by commas: (dict "root" $ "component" "nats" "outside" "tls://host:4222").
By 127.0.0.1 clients come over a forwarded port. */}}
{{- define "armonik.tlsNames" -}}
{{- $service := printf "%s-%s" (include "armonik.name" .root) .component }}
{{- $inside := printf "%s.%s" $service .root.Release.Namespace }}
{{- $host := regexReplaceAll ":[0-9]+$" (regexReplaceAll "^[a-z]+://" .outside "") "" | trimAll "[]" }}
{{- concat (list $service $inside (printf "%s.svc" $inside) "localhost" "127.0.0.1" $host) .root.Values.tls.names | compact | uniq | join "," -}}
{{- end }}

{{/*
Starts a server and sends it SIGHUP when its certificate changes, which both NATS and versitygw then read again without
closing a connection. As process 1 a shell hands SIGTERM on. (list "nats-server" "--config" …) are its arguments.
*/}}
{{- define "armonik.reloading" -}}
- sh
- -c
- |
  "$@" &
  server=$!
  trap 'kill -TERM "$server"' TERM INT
  (
    seen=$(cksum /etc/tls/tls.crt /etc/tls/tls.key)
    while sleep 10; do
      now=$(cksum /etc/tls/tls.crt /etc/tls/tls.key)
      if [ "$now" != "$seen" ]; then seen=$now; kill -HUP "$server"; fi
    done
  ) &
  watcher=$!
  wait "$server"
  code=$?
  while kill -0 "$server" 2>/dev/null; do wait "$server"; code=$?; done
  kill "$watcher"
  exit "$code"
- server
{{- range . }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* Volume and mount of a server's certificate: (dict "component" "nats"). */}}
{{- define "armonik.tlsVolume" -}}
# Made by the operator, or by cert-manager. Until it exists the pod waits in ContainerCreating.
- name: tls
  secret:
    secretName: armonik-{{ .component }}-tls
    defaultMode: 0440
{{- end }}
{{- define "armonik.tlsMount" -}}
- {name: tls, mountPath: /etc/tls, readOnly: true}
{{- end }}

{{/*
Refuses to put another object store in place of the one that has the objects. Sees nothing in `helm template`; there the
operator refuses the Secret of SeaweedFS.
*/}}
{{- define "armonik.checkStore" -}}
{{- $name := printf "%s-s3" (include "armonik.name" .) }}
{{- with lookup "apps/v1" "StatefulSet" .Release.Namespace $name }}
{{- $before := get (.metadata.annotations | default dict) "armonik.io/object-store" | default "SeaweedFS" }}
{{- $wanted := ternary "an external one" $.Values.objectStore.server (not (empty $.Values.objectStore.external.endpoint)) }}
{{- if ne $before $wanted }}
{{- $remedy := printf "kubectl -n %s delete statefulset %s" $.Release.Namespace $name }}
{{- if eq $before "SeaweedFS" }}{{ $remedy = printf "%s && kubectl -n %s delete secret armonik-s3" $remedy $.Release.Namespace }}{{ end }}
{{- fail (printf "the objects of this release are in %s, which %s does not have: let all Sessions end, read their results and delete them, then run `%s` and upgrade again (docs/install.md, Upgrades)" $before $wanted $remedy) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "armonik.s3Secret" -}}
{{- if .Values.objectStore.external.endpoint }}{{ .Values.objectStore.external.existingSecret }}{{ else }}armonik-s3{{ end -}}
{{- end }}

{{/* A claim template: (dict "persistence" .Values.nats.persistence). */}}
{{- define "armonik.claimTemplate" -}}
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .persistence.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests: {storage: {{ .persistence.size }}}
{{- end }}

{{/*
Refuses to install beside another installation that serves the same namespaces: two operators would answer for the
same Sessions. Sees nothing in `helm template`, where there is no cluster to look at.
*/}}
{{- define "armonik.checkOthers" -}}
{{- range (lookup "apps/v1" "Deployment" "" "").items }}
{{- $labels := .metadata.labels | default dict }}
{{- $other := printf "%s in namespace %s" (get $labels "app.kubernetes.io/instance") .metadata.namespace }}
{{- $same := and (eq .metadata.namespace $.Release.Namespace) (eq (get $labels "app.kubernetes.io/instance") $.Release.Name) }}
{{- if and (eq (get $labels "app.kubernetes.io/name") "armonik") (eq (get $labels "app.kubernetes.io/component") "operator") (not $same) }}
{{- if eq .metadata.namespace $.Release.Namespace }}
{{- fail (printf "release %s: one installation a namespace; choose another --namespace" $other) }}
{{- end }}
{{- range (first .spec.template.spec.containers).env }}
{{- if eq .name "ARMONIK_WATCH_NAMESPACES" }}
{{- if or (not .value) (not $.Values.watchNamespaces) }}
{{- fail (printf "watchNamespaces: there is release %s, and one of the two serves all namespaces; set watchNamespaces of both" $other) }}
{{- end }}
{{- range splitList "," .value }}
{{- if has . $.Values.watchNamespaces }}
{{- fail (printf "watchNamespaces: %s is served by release %s already" . $other) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The Service that opens a server to the network, by its client port alone: NATS' monitoring port knows no passwords.
(dict "root" $ "component" "nats" "port" 4222 "target" "client" "service" .Values.nats.outside.service). */}}
{{- define "armonik.outsideService" -}}
{{- if .service.type }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "armonik.name" .root }}-{{ .component }}-outside
  namespace: {{ .root.Release.Namespace }}
  labels: {{ include "armonik.labels" . | nindent 4 }}
  {{- with .service.annotations }}
  annotations: {{ toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .service.type }}
  selector: {{ include "armonik.selectorLabels" . | nindent 4 }}
  ports:
    - name: {{ .target }}
      port: {{ .port }}
      targetPort: {{ .target }}
      {{- with .service.nodePort }}
      nodePort: {{ . | int64 }}
      {{- end }}
{{- end }}
{{- end }}
