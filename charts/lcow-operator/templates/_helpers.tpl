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
{{- define "lcow-operator.labels" -}}
{{ include "lcow-operator.labelsWith" (dict "context" .) }}
{{- end }}

{{/* `own`: labels that this object must have. `theirs`: labels that the user sets for this object. */}}
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

{{/* Satisfies the Pod Security level restricted, and makes the root read-only. */}}
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
{{- define "lcow-operator.uninstallAdvice" -}}
" VMs, whose finalizers need the operator: delete them first (kubectl delete luvm --all --all-namespaces), or uninstall with
--no-hooks. The release is now in the state uninstalling and cannot be upgraded; this command restores it: " +
object.?data[?"rollback"].orValue("helm rollback to the same revision")
{{- end }}

{{- define "lcow-operator.rollback" -}}
helm rollback {{ .Release.Name }} {{ .Release.Revision }} --namespace {{ .Release.Namespace }}
{{- end }}
