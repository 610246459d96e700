// Where tests and the playground keep what is expensive to make, outside of the work tree.
import { homedir } from 'node:os';
import { join } from 'node:path';

export const cacheFolder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'lcow-operator');
