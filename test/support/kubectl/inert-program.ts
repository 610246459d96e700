// The command line of the plugin, whose commands do nothing.
import type { Command } from 'commander';
import { createProgram } from '../../../kubectl/program.ts';

export function inertProgram(): Command {
  const nothing = async () => undefined;
  return createProgram('0', nothing, nothing, nothing, () => async () => true);
}
