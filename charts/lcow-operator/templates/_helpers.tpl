{{/*
One cluster has one operator: its Lease, its kinds and the audience of its agents' tokens are named `lcow-operator`, so
the objects are too. There is no name override; a second release is refused by Helm, since the objects have an owner.
*/}}

{{- define "lcow-operator.selectorLabels" -}}
app.kubernetes.io/name: lcow-operator
app.kubernetes.io/component: operator
{{- end }}

{{- define "lcow-operator.labels" -}}
{{ include "lcow-operator.selectorLabels" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: lcow
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "lcow-operator.image" -}}
{{- with .Values.image -}}
{{ .registry }}/{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}

{{/* What the restricted Pod Security level asks for, and a read-only root on top. */}}
{{- define "lcow-operator.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "lcow-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "lcow-operator.apiService" -}}
v1alpha1.subresources.lcow.dev
{{- end }}

{{- define "lcow-operator.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:lcow-operator
{{- end }}
