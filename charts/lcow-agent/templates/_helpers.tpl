{{- define "lcow-agent.selectorLabels" -}}
app.kubernetes.io/name: lcow-agent
app.kubernetes.io/component: agent
{{- end }}

{{/*
Labels of an object, each key once: YAML with a key twice is refused by kustomize, and so by Flux. What selectors and Helm
go by is the chart's; every other label the user's values may set.
*/}}
{{- define "lcow-agent.labels" -}}
{{ include "lcow-agent.labelsWith" (dict "context" .) }}
{{- end }}

{{/* `own`: labels that this object must have. `theirs`: labels that a value of the user gives this object. */}}
{{- define "lcow-agent.labelsWith" -}}
{{- $context := .context }}
{{- $selected := fromYaml (include "lcow-agent.selectorLabels" $context) }}
{{- $helm := dict "app.kubernetes.io/instance" $context.Release.Name "app.kubernetes.io/managed-by" $context.Release.Service }}
{{- $chart := printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_" }}
{{- $usual := dict "app.kubernetes.io/part-of" "lcow" "app.kubernetes.io/version" $context.Chart.AppVersion "helm.sh/chart" $chart }}
{{- merge (dict) (.own | default dict) $selected $helm (.theirs | default dict) $context.Values.commonLabels $usual | toYaml }}
{{- end }}

{{- define "lcow-agent.image" -}}
{{- with .Values.image -}}
{{ dig "imageRegistry" "" ($.Values.global | default dict) | default .registry }}/{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
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

{{/* The chart's own and those of a parent chart (names, or maps with a name), each once. */}}
{{- define "lcow-agent.imagePullSecrets" -}}
{{- $names := list }}
{{- range concat .Values.imagePullSecrets (dig "imagePullSecrets" list (.Values.global | default dict)) }}
{{- $names = append $names (kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name")) }}
{{- end }}
{{- range $names | uniq }}
- name: {{ . }}
{{- end }}
{{- end }}

{{/*
"true" where whoever renders asked a cluster what it serves: Helm itself, and Argo CD. Every API server serves this group, and
no default of Helm has it. What `helm template` prints without a cluster is for `kubectl apply` and the like, which take a
hook for an ordinary object: they would run the test at once, and be refused like an uninstall.
*/}}
{{- define "lcow-agent.hooks" -}}
{{ ternary "true" "" (.Capabilities.APIVersions.Has "apiregistration.k8s.io/v1") }}
{{- end }}
