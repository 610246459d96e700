// A CustomResourceDefinition as a chart template. It is not in the chart's folder crds/, because Helm installs files
// from there once and never upgrades them.

/** `text` is the content of a file in crds/. */
export function crdTemplate(text: string): string {
  const [heading = '', ...lines] = text.split('\n');
  const metadata = lines.indexOf('metadata:');
  if (!heading.startsWith('# Generated') || metadata < 0) throw new Error('not a generated CustomResourceDefinition');
  if (text.includes('{{')) throw new Error('braces of a description would be taken for a template');
  const [name = '', ...rest] = lines.slice(metadata + 1);
  return [
    heading,
    '{{- if .Values.crds.enabled }}',
    ...lines.slice(0, metadata + 1),
    name,
    '  {{- $kept := .Values.crds.keep | ternary (dict "helm.sh/resource-policy" "keep") dict }}',
    '  {{- include "lcow-operator.marks" (dict "context" . "ownAnnotations" $kept) | nindent 2 }}',
    ...rest.slice(0, rest.lastIndexOf('')),
    '{{- end }}',
    '',
  ].join('\n');
}
