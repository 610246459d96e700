// Which ports of its host a guest dials, by the options that its VM was made with (hcs-runtime B.2): that of entropy always.
// The host listens on no others: what nobody dials needs no socket. But a guest whose dial to 109 is refused dies (F.3).
import type { RequestedOptions } from '../../protocol/options.ts';

export interface GuestExpectations {
  /** The guest forwards its output to port 109, so the boot waits for that connection. */
  readonly log: boolean;
  /** It may do so: what it runs is not, or not only, what the agent has written. */
  readonly mayLog: boolean;
  /** The guest dials the bridge, so the boot waits for its negotiation. */
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
  // A confidential guest has its command line in its guest state file.
  const hasOwnCommand = options.SecurityPolicyEnabled === true || ExecCommandLine !== undefined;
  return { log, mayLog: log || hasOwnCommand, bridge: UseGuestConnection };
}
