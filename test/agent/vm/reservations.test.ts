import { describe, expect, it } from 'vitest';
import type { HostResource } from '../../../agent/preparation/host-resources.ts';
import { Reservations } from '../../../agent/vm/reservations.ts';
import { threadTime } from '../../support/thread-time.ts';

const file = (name: string, exclusive = true): HostResource => ({
  kind: 'file',
  name,
  exclusive,
  given: name,
  disk: name,
});
const folder = (name: string): HostResource => ({ kind: 'folder', name, exclusive: false, given: name, share: name });
const vm = (uid: string) => ({ uid });
const names = (reservations: Reservations, uid: string) => reservations.of(uid).map(({ name }) => name);

describe('reservations', () => {
  it('allow many readers, or one writer', () => {
    const reservations = new Reservations();
    expect(reservations.reserve(vm('a'), [file('root', false)])).toBeUndefined();
    expect(reservations.reserve(vm('b'), [file('root', false)])).toBeUndefined();
    expect(reservations.reserve(vm('c'), [file('root')])).toMatchObject({ holder: { uid: 'a' } });
    reservations.release('a');
    expect(reservations.reserve(vm('b'), [file('root')])).toBeUndefined();
    expect(reservations.reserve(vm('c'), [file('root', false)])).toMatchObject({ holder: { uid: 'b' } });
  });

  it('are given all together, or none', () => {
    const reservations = new Reservations();
    reservations.reserve(vm('a'), [file('y')]);
    expect(reservations.reserve(vm('b'), [file('x'), file('y')])).toMatchObject({ resource: { name: 'y' } });
    expect(reservations.of('b')).toEqual([]);
    expect(reservations.reserve(vm('c'), [file('x')])).toBeUndefined();
  });

  it('go to the VM that asked first, and then to the next one', () => {
    const reservations = new Reservations();
    const got: string[] = [];
    reservations.reserve(vm('a'), [file('x')]);
    for (const uid of ['c', 'b', 'd']) reservations.wait(vm(uid), [file('x')], () => got.push(uid));
    // A repeated request keeps its place in the queue.
    reservations.wait(vm('c'), [file('x')], () => got.push('c'));
    expect(got).toEqual([]);
    reservations.release('a');
    expect(got).toEqual(['c']);
    expect(reservations.reserve(vm('e'), [file('x')])).toMatchObject({ holder: { uid: 'c' } });
    reservations.leaveQueue('b');
    reservations.release('c');
    expect(got).toEqual(['c', 'd']);
  });

  it('are not held by a waiting VM', () => {
    const reservations = new Reservations();
    const got: string[] = [];
    reservations.reserve(vm('a'), [file('x')]);
    reservations.wait(vm('b'), [file('x'), file('y')], () => got.push('b'));
    expect(reservations.reserve(vm('c'), [file('y')])).toBeUndefined();
    reservations.release('a');
    expect(got).toEqual([]);
    expect(reservations.reserve(vm('d'), [file('x')])).toBeUndefined();
    reservations.release('c');
    reservations.release('d');
    expect(got).toEqual(['b']);
    expect(names(reservations, 'b')).toEqual(['x', 'y']);
  });

  it('of readers are given at the same time', () => {
    const reservations = new Reservations();
    const got: string[] = [];
    reservations.reserve(vm('a'), [file('x')]);
    for (const uid of ['b', 'c']) reservations.wait(vm(uid), [file('x', false)], () => got.push(uid));
    reservations.wait(vm('d'), [file('x')], () => got.push('d'));
    reservations.release('a');
    expect(got).toEqual(['b', 'c']);
    reservations.release('b');
    reservations.release('c');
    expect(got).toEqual(['b', 'c', 'd']);
  });

  it('that two VMs already had from before last until both VMs end', () => {
    const reservations = new Reservations();
    reservations.hold(vm('a'), [file('x')]);
    reservations.hold(vm('b'), [file('x')]);
    expect(reservations.reserve(vm('a'), [file('x')])).toMatchObject({ holder: { uid: 'b' } });
    reservations.release('b');
    expect(reservations.reserve(vm('a'), [file('x')])).toBeUndefined();
  });

  it('for one VM alone are not given while it is unknown what another VM uses', () => {
    const reservations = new Reservations();
    const got: string[] = [];
    reservations.hold(vm('a'), [file('x')]);
    reservations.holdUnknown('stranger');
    expect(reservations.reserve(vm('a'), [file('x')])).toBeUndefined();
    expect(reservations.reserve(vm('b'), [file('y', false)])).toBeUndefined();
    const conflict = reservations.reserve(vm('c'), [file('z')]);
    expect(conflict).toMatchObject({ resource: { name: 'z' } });
    expect(conflict?.holder).toBeUndefined();
    reservations.wait(vm('c'), [file('z')], () => got.push('c'));
    reservations.release('stranger');
    expect(got).toEqual(['c']);
  });

  it('of 4,096 VMs that wait for one file take little time', () => {
    const reservations = new Reservations();
    const got: string[] = [];
    const uids = Array.from({ length: 4096 }, (_, index) => `vm-${index}`);
    for (const uid of uids) {
      if (reservations.reserve(vm(uid), [file('root', false), file('x')]) !== undefined)
        reservations.wait(vm(uid), [file('root', false), file('x')], () => got.push(uid));
    }
    const started = threadTime();
    for (const uid of uids) reservations.release(uid);
    expect(got).toEqual(uids.slice(1));
    expect(threadTime() - started).toBeLessThan(10_000);
  });
});

describe('a folder that is shared writable', () => {
  const inside = 'd:\\a\\b\\x.vhd';

  it('excludes files below it, and no other folder or file', () => {
    const reservations = new Reservations();
    expect(reservations.reserve(vm('a'), [folder('d:\\a')])).toBeUndefined();
    for (const free of ['d:\\a', 'd:\\ab\\x.vhd', 'd:\\x.vhd', 'c:\\a\\x.vhd']) {
      expect(reservations.reserve(vm('b'), [file(free)])).toBeUndefined();
    }
    expect(reservations.reserve(vm('b'), [folder('d:\\a'), folder('d:\\a\\b'), folder('d:')])).toBeUndefined();
    for (const exclusive of [true, false]) {
      expect(reservations.reserve(vm('c'), [file(inside, exclusive)])).toMatchObject({ resource: { name: inside } });
    }
  });

  it('of a whole drive excludes every file of the drive', () => {
    const reservations = new Reservations();
    reservations.reserve(vm('a'), [folder('d:')]);
    expect(reservations.reserve(vm('b'), [file('c:\\x')])).toBeUndefined();
    expect(reservations.reserve(vm('b'), [file('d:\\x')])).toMatchObject({ holder: { uid: 'a' } });
  });

  it('waits for the files below it, which wait for it', () => {
    const reservations = new Reservations();
    const got: string[] = [];
    reservations.reserve(vm('a'), [file(inside)]);
    reservations.reserve(vm('b'), [file('d:\\a\\other', false)]);
    reservations.wait(vm('c'), [folder('d:\\a')], () => got.push('c'));
    reservations.release('a');
    expect(got).toEqual([]);
    reservations.release('b');
    expect(got).toEqual(['c']);
    reservations.wait(vm('d'), [file(inside)], () => got.push('d'));
    reservations.wait(vm('e'), [file('d:\\a\\y', false)], () => got.push('e'));
    reservations.release('c');
    expect(got).toEqual(['c', 'd', 'e']);
  });

  it('is not given while a VM of unknown resources may have a file below it', () => {
    const reservations = new Reservations();
    reservations.holdUnknown('x');
    expect(reservations.reserve(vm('a'), [folder('d:\\a')])).toMatchObject({ resource: { kind: 'folder' } });
    reservations.release('x');
    expect(reservations.reserve(vm('a'), [folder('d:\\a')])).toBeUndefined();
  });
});
