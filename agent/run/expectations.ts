// Which ports of its host a guest connects to, derived from the options of its VM (hcs-runtime B.2): always the port of
// entropy, others depending on the options. The host listens on no other ports, because they would be unused. But a
// guest whose connection to port 109 is refused dies (F.3).
import type { RequestedOptions } from '../../protocol/options.ts';

export interface GuestExpectations {
  /** The guest forwards its output to port 109, so the boot waits for that connection. */
  readonly log: boolean;
  /** The guest may connect to port 109: it does not only run programs that the agent chose. */
  readonly mayLog: boolean;
  /** The guest connects to the bridge's port, so the boot waits for the negotiation. */
  readonly bridge: boolean;
}

type Deciding = Pick<
  RequestedOptions,
  'ExecCommandLine' | 'ForwardStderr' | 'ForwardStdout' | 'SecurityPolicyEnabled' | 'UseGuestConnection'
>;

/** An absent option has its default. */
export function expectationsOf(options: Deciding = {}): GuestExpectations {
  const { ExecCommandLine, ForwardStderr = true, ForwardStdout = false, UseGuestConnection = true } = options;
  const log = ForwardStdout || ForwardStderr;
  // A confidential guest takes its command line from its guest state file.
  const hasOwnCommand = options.SecurityPolicyEnabled === true || ExecCommandLine !== undefined;
  return { log, mayLog: log || hasOwnCommand, bridge: UseGuestConnection };
}
