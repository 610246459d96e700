{{- define "lcow-agent.selectorLabels" -}}
app.kubernetes.io/name: lcow-agent
app.kubernetes.io/component: agent
{{- end }}

{{/*
Labels of an object, each key once: kustomize, and therefore Flux, refuses YAML with a duplicate key. The chart sets the labels
that selectors and Helm use; the user's values may set all others.
*/}}
{{- define "lcow-agent.labels" -}}
{{ include "lcow-agent.labelsWith" (dict "context" .) }}
{{- end }}

{{/* `own`: labels that this object must have. `theirs`: labels that the user sets for this object. */}}
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

{{/* The kubelet inserts the address of the Service; the node's own network may not resolve its name. */}}
{{- define "lcow-agent.operatorURL" -}}
{{ .Values.operator.url | default "wss://$(LCOW_OPERATOR_SERVICE_HOST):$(LCOW_OPERATOR_SERVICE_PORT_AGENTS)/v1/agents" }}
{{- end }}

{{/*
The folder with the files of the image and the volumes. Every containerd sets this variable and replaces it in the command
line. (1.7 also mounts volumes at their mount path; 1.6 mounts them only here.)
*/}}
{{- define "lcow-agent.root" -}}
%CONTAINER_SANDBOX_MOUNT_POINT%
{{- end }}

{{/* The pull secrets of this chart and of a parent chart (names, or maps with a name), without duplicates. */}}
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
"true" if the renderer asked a cluster for its API groups, as Helm itself and Argo CD do: every API server serves this group, and
Helm's defaults lack it. The output of `helm template` without a cluster goes to `kubectl apply` and the like, which treat a
hook as an ordinary object and would run the test at once.
*/}}
{{- define "lcow-agent.hooks" -}}
{{ ternary "true" "" (.Capabilities.APIVersions.Has "apiregistration.k8s.io/v1") }}
{{- end }}
