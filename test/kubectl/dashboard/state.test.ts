import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Key, type KeyName, keysOf } from '../../../kubectl/dashboard/keys.ts';
import {
  chosenIndex,
  firstState,
  keyOf,
  type Pressed,
  press,
  rowsOf,
  type State,
} from '../../../kubectl/dashboard/state.ts';
import { emptyFleet, sampleFleet } from './sample-fleet.ts';

const named = (name: KeyName): Key => ({ kind: 'Named', name });
const letters = (text: string): Key[] => [...text].map((each) => ({ kind: 'Text', text: each }));

function type(keys: readonly Key[], from: State = firstState, fleet = sampleFleet): Pressed {
  let pressed: Pressed = { state: from };
  for (const key of keys) pressed = press(pressed.state, key, fleet, 3);
  return pressed;
}

const chosenName = ({ state }: Pressed) => {
  const rows = rowsOf(state, sampleFleet);
  return rows[chosenIndex(state, rows)]?.name;
};

describe('keys', () => {
  it('come out of what a terminal sends', () => {
    const typed = 'lé\x1b[A\x1bOB\x1b[5~\x1b[Z\t\r\x7f\x03';
    expect(keysOf(typed)).toEqual([
      ...letters('lé'),
      ...(['Up', 'Down', 'PageUp', 'BackTab', 'Tab', 'Enter', 'Backspace', 'Interrupt'] as const).map(named),
    ]);
    expect(keysOf('\x1b')).toEqual([named('Escape')]);
  });

  it('do not come out of sequences that mean nothing here', () => {
    expect(keysOf('\x1b[200~q\x1b[201~\x1b[1;5A\x01')).toEqual(letters('q'));
  });

  it('end with any input', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('\x1b', '[', 'O', 'A', '~', ';', '1', '\r', '\x03', 'q', '界') }),
        (input) => keysOf(input).length <= input.length,
      ),
    );
  });
});

describe('the dashboard', () => {
  it('moves the choice, by one and by pages, and stops at the ends', () => {
    const order = ['db', 'lost', 'new', 'batch', 'web-2', 'web-10'];
    expect(rowsOf(firstState, sampleFleet).map(({ name }) => name)).toEqual(order);
    expect(chosenName(type([named('Down')]))).toBe('lost');
    expect(chosenName(type(letters('jjk')))).toBe('lost');
    expect(chosenName(type([named('Up')]))).toBe('db');
    expect(chosenName(type([named('PageDown')]))).toBe('batch');
    expect(chosenName(type([named('End'), named('Down')]))).toBe('web-10');
    expect(chosenName(type([named('End'), named('PageUp'), named('Home')]))).toBe('db');
  });

  it('keeps the choice when rows come and go', () => {
    const { state } = type([named('Down'), named('Down')]);
    const fleet = { ...sampleFleet, machines: sampleFleet.machines.filter(({ name }) => name !== 'db') };
    const rows = rowsOf(state, fleet);
    expect(rows.map(keyOf)[chosenIndex(state, rows)]).toBe('default/new');
  });

  it('changes its view by tab, arrow and number', () => {
    expect(type([named('Tab')]).state.view).toBe('hosts');
    expect(type([named('BackTab')]).state.view).toBe('sets');
    expect(type(letters('3')).state.view).toBe('sets');
    expect(type(letters('31')).state.view).toBe('VMs');
  });

  it('opens a host or set as its VMs, and a VM as its status', () => {
    const host = type([...letters('2'), named('Enter')]).state;
    expect(host).toMatchObject({ view: 'VMs', filter: 'win-2' });
    expect(rowsOf(host, sampleFleet).map(({ name }) => name)).toEqual(['db', 'lost']);
    expect(type([...letters('3'), named('Enter')]).state).toMatchObject({ view: 'VMs', filter: 'web' });
    expect(type([named('Enter')]).action).toMatchObject({ kind: 'Run', verb: 'status', row: { name: 'db' } });
  });

  it('filters while letters are typed, which then have no other meaning', () => {
    const typing = type(letters('/webq'));
    expect(typing).toEqual({ state: { ...firstState, mode: 'Filter', filter: 'webq' } });
    const kept = type([named('Backspace'), named('Enter')], typing.state).state;
    expect(kept).toMatchObject({ mode: 'Look', filter: 'web' });
    expect(rowsOf(kept, sampleFleet).map(({ name }) => name)).toEqual(['web-2', 'web-10']);
    expect(type([named('Escape')], kept).state.filter).toBe('');
    expect(type([named('Escape')], typing.state).state).toMatchObject({ mode: 'Look', filter: '' });
  });

  it.each([
    ['l', 'logs'],
    ['e', 'exec'],
    ['c', 'console'],
    ['s', 'status'],
  ])('runs another command at a key: %s is %s', (letter, verb) => {
    expect(type(letters(letter)).action).toMatchObject({ kind: 'Run', verb, row: { name: 'db' } });
  });

  it('restarts a VM only after a yes', () => {
    expect(type(letters('r'))).toEqual({ state: { ...firstState, mode: 'Restart' } });
    expect(type(letters('ry'))).toMatchObject({
      state: { mode: 'Look' },
      action: { verb: 'restart', row: { name: 'db' } },
    });
    for (const other of [...letters('nq'), named('Enter'), named('Escape')]) {
      expect(type([...letters('r'), other])).toEqual({ state: firstState });
    }
  });

  it('says what a key needs when there is no VM', () => {
    expect(type(letters('2l')).state.notice).toBe('logs needs a VM: 1 shows the VMs');
    expect(type(letters('r'), firstState, emptyFleet).state.notice).toBe('restart needs a VM: 1 shows the VMs');
    expect(type(letters('2lj')).state.notice).toBe('');
  });

  it('ends with q and Ctrl-C', () => {
    expect(type(letters('q')).action).toEqual({ kind: 'Quit' });
    expect(type([...letters('/'), named('Interrupt')]).action).toEqual({ kind: 'Quit' });
  });
});
