{{/*
Names come from the chart, not from the release: a cluster has one webhook, and the program knows these names.
*/}}
{{- define "labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* Where all pods of the chart run. */}}
{{- define "placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The webhook's user name at the API server. */}}
{{- define "user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ .Chart.Name }}
{{- end }}

{{/* Namespaces whose pods are never rewritten, as a JSON list: config.ExemptNamespaces. */}}
{{- define "exemptNamespaces" -}}
{{ list "kube-system" "kube-node-lease" "kube-public" "local-path-storage" .Release.Namespace | toJson }}
{{- end }}

{{/*
Makes the namespace the owner of an object outside it, so that the garbage collector deletes the object with the namespace. The
UID is unknown if the chart is rendered without a cluster, or before the namespace exists; the next upgrade then sets the owner.
*/}}
{{- define "ownedByNamespace" -}}
{{- with (lookup "v1" "Namespace" "" .Release.Namespace) }}
ownerReferences:
  - apiVersion: v1
    kind: Namespace
    name: {{ .metadata.name }}
    uid: {{ .metadata.uid }}
{{- end }}
{{- end }}
