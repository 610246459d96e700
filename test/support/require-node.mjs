// Says what to do before an old Node fails on the first TypeScript file with a syntax error.
const [major] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(
    `lcow-operator needs Node 24 or newer, this is ${process.versions.node}.\n` +
      'Run `npm ci` without --omit=optional: it brings a current Node as a package, and npm scripts use that one.\n',
  );
  process.exit(1);
}
