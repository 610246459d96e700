{{- define "lcow-agent.selectorLabels" -}}
app.kubernetes.io/name: lcow-agent
app.kubernetes.io/component: agent
{{- end }}

{{/*
Labels of an object, each key once: kustomize, and therefore Flux, refuses YAML with a duplicate key. The chart sets the labels
that selectors and Helm use; the user's values may set all others.
*/}}
{{/* `own`: labels that this object must have. `theirs`: labels that the user sets for this object. */}}
{{- define "lcow-agent.labelsWith" -}}
{{- $context := .context }}
{{- $selected := fromYaml (include "lcow-agent.selectorLabels" $context) }}
{{- $helm := dict "app.kubernetes.io/instance" $context.Release.Name "app.kubernetes.io/managed-by" $context.Release.Service }}
{{- $chart := printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_" }}
{{- $usual := dict "app.kubernetes.io/part-of" "lcow" "app.kubernetes.io/version" $context.Chart.AppVersion "helm.sh/chart" $chart }}
{{- merge (dict) (.own | default dict) $selected $helm (.theirs | default dict) $context.Values.commonLabels $usual | toYaml }}
{{- end }}

{{/*
The labels and annotations of an object's metadata. `own` and `theirs` as above; `ownAnnotations`: what this object must have;
`theirAnnotations`: what the user sets for this object. `commonAnnotations` come last.
*/}}
{{- define "lcow-agent.marks" -}}
labels:
  {{- include "lcow-agent.labelsWith" . | nindent 2 }}
{{- with merge (dict) (.ownAnnotations | default dict) (.theirAnnotations | default dict) .context.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
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

{{/*
How metrics are protected. Every reader that is set up here is required: a client certificate, a token, or both. The program
refuses to serve readers without either, unless that is said.
*/}}
{{- define "lcow-agent.metricsFlags" -}}
{{- with .Values.metrics }}
{{- if and .token.secretName (not .tls.secretName) }}
{{- fail "metrics.token needs metrics.tls.secretName: without TLS everyone on the way could read the token" }}
{{- end }}
{{- if not (or .anonymous (and .tls.secretName (or .tls.clientCAKey .token.secretName))) }}
{{- fail "metrics.enabled needs metrics.tls.secretName, and metrics.tls.clientCAKey or metrics.token.secretName; or metrics.anonymous, with which everyone who reaches the nodes may read" }}
{{- end }}
- --metrics-port={{ .port }}
{{- if .tls.secretName }}
- '--metrics-certificate={{ include "lcow-agent.root" $ }}\var\run\secrets\lcow-metrics\tls.crt'
- '--metrics-key={{ include "lcow-agent.root" $ }}\var\run\secrets\lcow-metrics\tls.key'
{{- end }}
{{- if and .tls.secretName .tls.clientCAKey (not .anonymous) }}
- '--metrics-client-ca={{ include "lcow-agent.root" $ }}\var\run\secrets\lcow-metrics\ca.crt'
{{- end }}
{{- if and .token.secretName (not .anonymous) }}
- '--metrics-token-file={{ include "lcow-agent.root" $ }}\var\run\secrets\lcow-metrics\token'
{{- end }}
{{- if .anonymous }}
- --metrics-anonymous
{{- end }}
{{- end }}
{{- end }}

{{- define "lcow-agent.metricsVolume" -}}
{{- with .Values.metrics -}}
projected:
  sources:
    - secret:
        name: {{ .tls.secretName }}
        # Without it nobody can read metrics, but the program runs.
        optional: true
        items:
          - key: tls.crt
            path: tls.crt
          - key: tls.key
            path: tls.key
          {{- with .tls.clientCAKey }}
          - key: {{ . }}
            path: ca.crt
          {{- end }}
    {{- if .token.secretName }}
    - secret:
        name: {{ .token.secretName }}
        optional: true
        items:
          - key: {{ .token.key }}
            path: token
    {{- end }}
{{- end }}
{{- end }}

{{/*
How Prometheus reads metrics over TLS, below what the user says. `monitor` has the user's `tlsConfig` and `authorization`. The
certificate of the readers is theirs to name.
*/}}
{{- define "lcow-agent.scrapeTLS" -}}
{{- $metrics := .context.Values.metrics }}
{{- if $metrics.tls.secretName }}
{{- $tls := dict "serverName" $metrics.tls.serverName }}
{{- if not (.monitor.tlsConfig | default dict).ca }}
{{- $_ := set $tls "ca" (dict "secret" (dict "name" $metrics.tls.secretName "key" "ca.crt")) }}
{{- end }}
scheme: https
tlsConfig:
  {{- merge (deepCopy (.monitor.tlsConfig | default dict)) $tls | toYaml | nindent 2 }}
{{- end }}
{{- $token := dict }}
{{- with $metrics.token }}
{{- if .secretName }}
{{- $token = dict "type" "Bearer" "credentials" (dict "name" .secretName "key" .key) }}
{{- end }}
{{- end }}
{{- with merge (deepCopy (.monitor.authorization | default dict)) $token }}
authorization:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The milliseconds of a duration such as 30s. */}}
{{- define "lcow-agent.milliseconds" -}}
{{- $unit := regexFind "[a-z]+$" . }}
{{- mul (trimSuffix $unit . | int64) (get (dict "ms" 1 "s" 1000 "m" 60000) $unit) }}
{{- end }}

{{/* What an endpoint of a ServiceMonitor or PodMonitor takes from the values of its monitor. */}}
{{- define "lcow-agent.scrape" -}}
path: /metrics
{{- with .monitor.interval }}
interval: {{ . }}
{{- end }}
{{- with .monitor.scrapeTimeout }}
{{- $interval := $.monitor.interval | default "" }}
{{- if and $interval (gt (include "lcow-agent.milliseconds" . | int64) (include "lcow-agent.milliseconds" $interval | int64)) }}
{{- fail (printf "scrapeTimeout %s is longer than interval %s: Prometheus would ignore the whole monitor" . $interval) }}
{{- end }}
scrapeTimeout: {{ . }}
{{- end }}
{{- if .monitor.honorLabels }}
honorLabels: true
{{- end }}
{{- with .monitor.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "lcow-agent.scrapeTLS" . }}
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
