{{- define "lcow-agent.selectorLabels" -}}
app.kubernetes.io/name: lcow-agent
app.kubernetes.io/component: agent
{{- end }}

{{- define "lcow-agent.labels" -}}
{{ include "lcow-agent.selectorLabels" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: lcow
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "lcow-agent.image" -}}
{{- with .Values.image -}}
{{ .registry }}/{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}

{{/* The kubelet puts the address of the Service in; by name it would have to be resolved from the node's own network. */}}
{{- define "lcow-agent.operatorURL" -}}
{{ .Values.operator.url | default "wss://$(LCOW_OPERATOR_SERVICE_HOST):$(LCOW_OPERATOR_SERVICE_PORT_AGENTS)/v1/agents" }}
{{- end }}

{{/*
Where the files of image and volumes are: below this variable with every containerd, which the runtime replaces itself in
the command line. (1.7 shows volumes at their mount path as well, 1.6 only here.)
*/}}
{{- define "lcow-agent.root" -}}
%CONTAINER_SANDBOX_MOUNT_POINT%
{{- end }}
