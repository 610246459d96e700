// `npm run test:set-life [-- --replicas 500 --hosts 30]` leads a set through its life in a whole system (life.ts). The exit
// code is 1 if it did not end as specified, or if the budget was overspent.
import { Command, InvalidArgumentError } from 'commander';
import { mostHosts } from '../../../simulator/playground/system.ts';
import { liveThrough } from './life.ts';

interface Arguments {
  readonly replicas: number;
  readonly hosts: number;
  readonly seed: number;
  readonly kills: number;
  readonly patience: number;
}

function integer(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`must be an integer from ${least} to ${most}`);
  };
}

const command = new Command('npm run test:set-life --')
  .description('Scales, changes, restarts, takes back and drains a set, while operator and agents are killed.')
  .option('--replicas <number>', 'VMs of the set', integer(2, 5_000), 12)
  .option('--hosts <number>', 'simulated hosts', integer(2, mostHosts), 4)
  .option('--seed <number>', 'chooses who is killed, and when', integer(0, 2 ** 31), 1)
  .option('--kills <number>', 'kills in each part', integer(0, 100), 3)
  .option('--patience <seconds>', 'how long a part may take', integer(1, 86_400), 1_800)
  .parse();
const { patience, ...options } = command.opts<Arguments>();
const tell = (line: string) => process.stdout.write(`${line}\n`);
const report = await liveThrough({ ...options, patienceMilliseconds: patience * 1_000, tell });
for (const violation of report.violations) tell(`VIOLATION  ${violation}`);
tell(`${report.kills} kills, ${report.disruptions} disruptions, ${report.violations.length} violations`);
process.exitCode = report.violations.length === 0 ? 0 : 1;
