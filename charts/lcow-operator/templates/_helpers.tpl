{{/*
One cluster has one operator: its Lease, its kinds and the audience of its agents' tokens are named `lcow-operator`, so
the objects are too. There is no name override; a second release is refused by Helm, since the objects have an owner.
*/}}

{{- define "lcow-operator.selectorLabels" -}}
app.kubernetes.io/name: lcow-operator
app.kubernetes.io/component: operator
{{- end }}

{{/*
Labels of an object, each key once: YAML with a key twice is refused by kustomize, and so by Flux. What selectors and Helm
go by is the chart's; every other label the user's values may set.
*/}}
{{- define "lcow-operator.labels" -}}
{{ include "lcow-operator.labelsWith" (dict "context" .) }}
{{- end }}

{{/* `own`: labels that this object must have. `theirs`: labels that a value of the user gives this object. */}}
{{- define "lcow-operator.labelsWith" -}}
{{- $context := .context }}
{{- $selected := fromYaml (include "lcow-operator.selectorLabels" $context) }}
{{- $helm := dict "app.kubernetes.io/instance" $context.Release.Name "app.kubernetes.io/managed-by" $context.Release.Service }}
{{- $chart := printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_" }}
{{- $usual := dict "app.kubernetes.io/part-of" "lcow" "app.kubernetes.io/version" $context.Chart.AppVersion "helm.sh/chart" $chart }}
{{- merge (dict) (.own | default dict) $selected $helm (.theirs | default dict) $context.Values.commonLabels $usual | toYaml }}
{{- end }}

{{- define "lcow-operator.image" -}}
{{- with .Values.image -}}
{{ dig "imageRegistry" "" ($.Values.global | default dict) | default .registry }}/{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
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

{{/* The chart's own and those of a parent chart (names, or maps with a name), each once. */}}
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
"true" where whoever renders asked a cluster what it serves: Helm itself, and Argo CD. Every API server serves this group, and
no default of Helm has it. What `helm template` prints without a cluster is for `kubectl apply` and the like, which take a
hook for an ordinary object: they would run the test at once, and be refused like an uninstall.
*/}}
{{- define "lcow-operator.hooks" -}}
{{ ternary "true" "" (.Capabilities.APIVersions.Has "apiregistration.k8s.io/v1") }}
{{- end }}

{{/* The end of an expression of CEL: what Helm prints when it is refused. `object` is the hook, so of the release's own revision. */}}
{{- define "lcow-operator.uninstallAdvice" -}}
" VMs, whose finalizers need the operator: delete them first (kubectl delete luvm --all --all-namespaces), or uninstall with
--no-hooks. Helm has the release as uninstalling from now on, and upgrades it no more: " +
object.?data[?"rollback"].orValue("helm rollback to the same revision") + " brings it back as it is"
{{- end }}

{{- define "lcow-operator.rollback" -}}
helm rollback {{ .Release.Name }} {{ .Release.Revision }} --namespace {{ .Release.Namespace }}
{{- end }}
