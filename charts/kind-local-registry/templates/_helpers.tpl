{{/*
All names are the chart's, whatever the release is called: a cluster has one webhook, and the program knows these names.
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

{{/* The user that the API server knows the webhook as. */}}
{{- define "user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ .Chart.Name }}
{{- end }}

{{/* Namespaces whose pods are never rewritten, as a JSON list: config.ExemptNamespaces. */}}
{{- define "exemptNamespaces" -}}
{{ list "kube-system" "kube-node-lease" "kube-public" "local-path-storage" .Release.Namespace | toJson }}
{{- end }}

{{/*
The namespace as the owner of an object outside it, so that the garbage collector deletes the object with the namespace. A
chart that is rendered without a cluster, or before its namespace is there, does not know its UID: the next upgrade does.
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
