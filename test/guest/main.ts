// `npm run test:guest` boots a real Linux guest from a generated document, and tests everything that the agent can ask
// of it; then it runs such a guest in a whole system, with an API server and an operator. `npm run test:guest --
// --kernel FILE --initrd FILE` uses another image. Checks that this image cannot pass are reported as skipped, with the
// reason.
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { startVitest } from 'vitest/node';
import { bootFilesEnvironment, type OwnBootFiles, ownBootFiles } from '../support/guest/own-boot-files.ts';

const command = new Command('npm run test:guest --')
  .description('Boots a real Linux guest under emulation and talks to it through the code of the agent.')
  .argument('[files...]', 'only these, by a part of their names: real-guest, real-system, real-stop, real-process')
  .option('--kernel <file>', 'a kernel with virtio-vsock, in place of ours (or LCOW_GUEST_KERNEL)')
  .option('--initrd <file>', 'an initial ramdisk with /init, /bin/vsockexec and /bin/gcs (or LCOW_GUEST_INITRD)')
  .parse();

function givenFiles(): OwnBootFiles {
  try {
    return ownBootFiles(command.opts<OwnBootFiles>());
  } catch (error) {
    return command.error(error instanceof Error ? error.message : String(error));
  }
}

Object.assign(process.env, bootFilesEnvironment(givenFiles()));
// The configuration of the whole suite would start a control plane, which is not needed here.
await startVitest('test', command.args, {
  config: false,
  root: fileURLToPath(new URL('../../', import.meta.url)),
  include: [
    'test/guest/real-guest.system.test.ts',
    'test/guest/real-system.ts',
    'test/guest/real-stop.ts',
    'test/guest/real-process.ts',
  ],
  // Two emulators at the same time would only be slower.
  fileParallelism: false,
  run: true,
  watch: false,
  reporters: ['verbose'],
});
