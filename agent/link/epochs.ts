// Which session commands this host (design §6). While a connection is renewed there are two of them, and an operator that
// was replaced may not know it yet: the open session with the newest epoch is obeyed, of equal ones the later. A session
// that has ended counts no more: epochs begin anew with the record of the host, as after a restore.

export class Epochs<Session extends object> {
  /** Open sessions by their epochs, the one that is obeyed last. */
  readonly #welcomed: { readonly session: Session; readonly epoch: number }[] = [];

  #last: number | undefined;

  /** Of the session that was welcomed last, open or not. */
  get last(): number | undefined {
    return this.#last;
  }

  /** False when a session with a newer epoch is open: then this one is never obeyed. */
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
