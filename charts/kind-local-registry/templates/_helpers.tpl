{{/*
Objects are named after the chart, not after the release: a cluster can have only one such webhook, and the programs know these names.
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

{{/* The node selector and tolerations of all pods in the chart. */}}
{{- define "placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The user name with which the webhook authenticates to the API server. */}}
{{- define "user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ .Chart.Name }}
{{- end }}

{{/* The exempt namespaces as a JSON list, the same as config.ExemptNamespaces. */}}
{{- define "exemptNamespaces" -}}
{{ list "kube-system" "kube-node-lease" "kube-public" "local-path-storage" .Release.Namespace | toJson }}
{{- end }}

{{/*
Makes the namespace the owner of a cluster-scoped object, so that the garbage collector deletes the object with the namespace. No
owner is set if the chart is rendered without a cluster or before the namespace exists, because the namespace's UID is not known
yet. The next upgrade then sets the owner.
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
