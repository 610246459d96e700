import type { StreamProblem } from '../../protocol/streams/messages.ts';

/** A stream was refused or ended early. The user sees the problem and the message. */
export class StreamFailure extends Error {
  readonly problem: StreamProblem;

  constructor(problem: StreamProblem, message: string) {
    super(message);
    this.name = 'StreamFailure';
    this.problem = problem;
  }
}
