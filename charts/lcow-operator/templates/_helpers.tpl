{{/*
One cluster has one operator: its Lease, its kinds and the audience of its agents' tokens are named `lcow-operator`, so
the objects are too. There is no name override. Helm refuses a second release, because the objects already have an owner.
*/}}

{{- define "lcow-operator.selectorLabels" -}}
app.kubernetes.io/name: lcow-operator
app.kubernetes.io/component: operator
{{- end }}

{{/*
Labels of an object, each key once: kustomize, and therefore Flux, refuses YAML with a duplicate key. The chart sets the labels
that selectors and Helm use; the user's values may set all others.
*/}}
{{/* `own`: labels that this object must have. `theirs`: labels that the user sets for this object. */}}
{{- define "lcow-operator.labelsWith" -}}
{{- $context := .context }}
{{- $selected := fromYaml (include "lcow-operator.selectorLabels" $context) }}
{{- $helm := dict "app.kubernetes.io/instance" $context.Release.Name "app.kubernetes.io/managed-by" $context.Release.Service }}
{{- $chart := printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_" }}
{{- $usual := dict "app.kubernetes.io/part-of" "lcow" "app.kubernetes.io/version" $context.Chart.AppVersion "helm.sh/chart" $chart }}
{{- merge (dict) (.own | default dict) $selected $helm (.theirs | default dict) $context.Values.commonLabels $usual | toYaml }}
{{- end }}

{{/*
The labels and annotations of an object's metadata. `own` and `theirs` as above; `ownAnnotations`: what this object must have;
`theirAnnotations`: what the user sets for this object. `commonAnnotations` come last.
*/}}
{{- define "lcow-operator.marks" -}}
labels:
  {{- include "lcow-operator.labelsWith" . | nindent 2 }}
{{- with merge (dict) (.ownAnnotations | default dict) (.theirAnnotations | default dict) .context.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "lcow-operator.image" -}}
{{- with .Values.image -}}
{{ dig "imageRegistry" "" ($.Values.global | default dict) | default .registry }}/{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}

{{/*
How metrics are protected. Every reader that is set up here is required: a client certificate, a token, or both. The program
refuses to serve readers without either, unless that is said.
*/}}
{{- define "lcow-operator.metricsFlags" -}}
{{- with .Values.metrics }}
{{- if and .token.secretName (not .tls.secretName) }}
{{- fail "metrics.token needs metrics.tls.secretName: without TLS everyone on the way could read the token" }}
{{- end }}
{{- if and .tls.secretName (not (or .tls.clientCAKey .token.secretName .anonymous)) }}
{{- fail "metrics.tls needs readers: set metrics.tls.clientCAKey, metrics.token.secretName or metrics.anonymous" }}
{{- end }}
{{- if .tls.secretName }}
- --metrics-port=8445
- --metrics-certificate=/var/run/secrets/lcow-metrics/tls.crt
- --metrics-key=/var/run/secrets/lcow-metrics/tls.key
{{- if and .tls.clientCAKey (not .anonymous) }}
- --metrics-client-ca=/var/run/secrets/lcow-metrics/ca.crt
{{- end }}
{{- if and .token.secretName (not .anonymous) }}
- --metrics-token-file=/var/run/secrets/lcow-metrics/token
{{- end }}
{{- if .anonymous }}
- --metrics-anonymous
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "lcow-operator.metricsVolume" -}}
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
{{- define "lcow-operator.scrapeTLS" -}}
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
{{- define "lcow-operator.milliseconds" -}}
{{- $unit := regexFind "[a-z]+$" . }}
{{- mul (trimSuffix $unit . | int64) (get (dict "ms" 1 "s" 1000 "m" 60000) $unit) }}
{{- end }}

{{/* What an endpoint of a ServiceMonitor or PodMonitor takes from the values of its monitor. */}}
{{- define "lcow-operator.scrape" -}}
path: /metrics
{{- with .monitor.interval }}
interval: {{ . }}
{{- end }}
{{- with .monitor.scrapeTimeout }}
{{- $interval := $.monitor.interval | default "" }}
{{- if and $interval (gt (include "lcow-operator.milliseconds" . | int64) (include "lcow-operator.milliseconds" $interval | int64)) }}
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
{{- include "lcow-operator.scrapeTLS" . }}
{{- end }}

{{- define "lcow-operator.apiService" -}}
v1alpha1.subresources.lcow.dev
{{- end }}

{{- define "lcow-operator.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:lcow-operator
{{- end }}

{{/* The pull secrets of this chart and of a parent chart (names, or maps with a name), without duplicates. */}}
{{- define "lcow-operator.imagePullSecrets" -}}
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
hook as an ordinary object: they would run the test at once, and would be refused like an uninstallation.
*/}}
{{- define "lcow-operator.hooks" -}}
{{ ternary "true" "" (.Capabilities.APIVersions.Has "apiregistration.k8s.io/v1") }}
{{- end }}

{{/* The end of a CEL expression: what Helm prints when it is refused. `object` is the hook, which belongs to the current revision. */}}
{{- /* CEL: whether an owner reference names the set that controls the object. */}}
{{- define "lcow-operator.isSet" -}}
{{ . }}.?controller.orValue(false) && {{ . }}.kind == "LinuxUtilityVMSet" && {{ . }}.apiVersion.startsWith("lcow.dev/")
{{- end }}

{{- define "lcow-operator.uninstallAdvice" -}}
" VMs, whose finalizers need the operator: delete them first (kubectl delete luvmset,luvm --all --all-namespaces), or uninstall with
--no-hooks. The release is now in the state uninstalling and cannot be upgraded; this command restores it: " +
object.?data[?"rollback"].orValue("helm rollback to the same revision")
{{- end }}

{{- define "lcow-operator.rollback" -}}
helm rollback {{ .Release.Name }} {{ .Release.Revision }} --namespace {{ .Release.Namespace }}
{{- end }}

{{- define "lcow-operator.tracesFlags" -}}
{{- with .Values.traces }}
{{- if .endpoint }}
- --traces-endpoint={{ .endpoint }}
{{- end }}
{{- if .token.secretName }}
{{- if not (hasPrefix "https://" .endpoint) }}
{{- fail "traces.token needs traces.endpoint with https://: otherwise everyone on the way could read the token" }}
{{- end }}
- --traces-token-file=/var/run/secrets/lcow-traces/token
{{- end }}
{{- end }}
{{- end }}

{{- /* Port of the collector. */ -}}
{{- define "lcow-operator.tracesPort" -}}
{{- $parts := urlParse .Values.traces.endpoint -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $parts.host) | default (eq $parts.scheme "https" | ternary "443" "80") -}}
{{- end }}
