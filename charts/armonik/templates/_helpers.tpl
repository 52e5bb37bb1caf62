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

{{/* What every pod of the chart may be told about its place: (dict "root" $ "at" .Values.nats). */}}
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
{{- if .Values.nats.external.url }}{{ .Values.nats.external.url }}{{ else }}nats://{{ include "armonik.name" . }}-nats.{{ .Release.Namespace }}.svc:4222{{ end -}}
{{- end }}

{{- define "armonik.natsSecret" -}}
{{- if .Values.nats.external.url }}{{ .Values.nats.external.existingSecret }}{{ else }}armonik-nats{{ end -}}
{{- end }}

{{- define "armonik.s3Endpoint" -}}
{{- if .Values.objectStore.external.endpoint }}{{ .Values.objectStore.external.endpoint }}{{ else }}{{ include "armonik.name" . }}-s3.{{ .Release.Namespace }}.svc:8333{{ end -}}
{{- end }}

{{- define "armonik.s3Secure" -}}
{{- if .Values.objectStore.external.endpoint }}{{ .Values.objectStore.external.secure }}{{ else }}false{{ end -}}
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
