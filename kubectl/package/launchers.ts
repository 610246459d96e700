// The small programs around the script.

/** The folder beside the launcher with Node and the script. */
export const programFolder = 'kubectl-luvm.d';

/** krew and users put a symbolic link to the launcher on the PATH, so it looks for its folder behind the link. */
export const launcher = `#!/bin/sh
program=$0
while [ -L "$program" ]; do
  target=$(readlink "$program")
  case $target in
    /*) program=$target ;;
    *) program=$(dirname "$program")/$target ;;
  esac
done
folder=$(dirname "$program")/${programFolder}
exec "$folder/node" "$folder/kubectl-luvm.cjs" "$@"
`;

/** kubectl runs this program to complete a command line; it finds both on the PATH. */
export const completionLauncher = `#!/bin/sh
exec kubectl-luvm __complete "$@"
`;

/** The same in the npm package, where npm makes the launchers. */
export const completionScript = `#!/usr/bin/env node
process.argv.splice(2, 0, '__complete');
require('./kubectl-luvm.cjs');
`;
