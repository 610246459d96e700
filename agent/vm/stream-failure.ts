import type { StreamProblem } from '../../protocol/streams/messages.ts';

/** Why a stream is refused or ends before its time; both are for the user. */
export class StreamFailure extends Error {
  readonly problem: StreamProblem;

  constructor(problem: StreamProblem, message: string) {
    super(message);
    this.name = 'StreamFailure';
    this.problem = problem;
  }
}
