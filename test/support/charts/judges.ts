// External judges of charts, objects, traces and workflows. As a program this builds all of them, which takes minutes the first time. CI
// does so before the tests, so that the progress is visible.
import { fileURLToPath } from 'node:url';
import { GoTool } from './go-tool.ts';
import { helm3, helm4 } from './helm.ts';

/** From sigs.k8s.io/cli-utils: applies, waits and prunes by kstatus. */
export const kapply = new GoTool('kapply', 'sigs.k8s.io/cli-utils/cmd', 'v0.37.2');
/** Judges objects as Flux and Argo CD do; judge/main.go has its input and output. */
export const gitopsJudge = new GoTool('judge', 'lcow.dev/judge', {
  folder: fileURLToPath(new URL('./judge/', import.meta.url)),
});
/** An OpenTelemetry collector, which logs each trace that it receives. */
export const collector = new GoTool('collector', 'lcow.dev/collector', {
  folder: fileURLToPath(new URL('./collector/', import.meta.url)),
});
/** Validates manifests by JSON schemas, as in pipelines without a cluster. */
export const kubeconform = new GoTool('kubeconform', 'github.com/yannh/kubeconform/cmd/kubeconform', 'v0.8.0');
/** Judges rules and queries, with Prometheus' own engine. */
export const promtool = new GoTool('promtool', 'github.com/prometheus/prometheus/cmd/promtool', 'v0.316.0');
/** Judges GitHub workflows. */
export const actionlint = new GoTool('actionlint', 'github.com/rhysd/actionlint/cmd/actionlint', 'v1.7.12');

if (import.meta.main) {
  for (const judge of [helm4, helm3, kapply, gitopsJudge, collector, kubeconform, promtool, actionlint])
    process.stdout.write(`${await judge.path()}\n`);
}
