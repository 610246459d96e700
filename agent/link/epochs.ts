// Decides which session commands this host (design §6). During a renewal there are two sessions, and an operator that
// was replaced may not know about it yet. The open session with the newest epoch is obeyed; of equal epochs, the later
// session. A session that has ended no longer counts: epochs restart with the record of the host, for example after a
// restore.

export class Epochs<Session extends object> {
  /** Open sessions, sorted by epoch; the last one is obeyed. */
  readonly #welcomed: { readonly session: Session; readonly epoch: number }[] = [];

  #last: number | undefined;

  /** Epoch of the session that was welcomed last, open or not. */
  get last(): number | undefined {
    return this.#last;
  }

  /** False when a session with a newer epoch is open: this session is then never obeyed. */
  admit(session: Session, epoch: number): boolean {
    if ((this.#welcomed.at(-1)?.epoch ?? 0) > epoch) return false;
    this.#welcomed.push({ session, epoch });
    this.#last = epoch;
    return true;
  }

  obeys(session: Session): boolean {
    return this.#welcomed.at(-1)?.session === session;
  }

  ended(session: Session): void {
    const index = this.#welcomed.findIndex((each) => each.session === session);
    if (index >= 0) this.#welcomed.splice(index, 1);
  }
}
