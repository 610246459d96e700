// The table of hvsock services: {GUID: who may bind and connect} (docs/reference/hcs-documents.md §6.3, §7.3).
import { SecurityDescriptor, VsockPort, vsockServiceGuidTail } from './constants.ts';
import { type RawJson, unlessEmpty } from './json-numbers.ts';
import type { HvSocketServiceOptions, LinuxOptions } from './options.ts';

export interface HvSocketService {
  readonly BindSecurityDescriptor: string | undefined;
  readonly ConnectSecurityDescriptor: string | undefined;
  readonly AllowWildcardBinds: boolean | undefined;
  readonly Disabled: boolean | undefined;
}

/**
 * A map and no object, because its keys come from outside unchecked: an object would move keys like "7" to the front and stumble
 * over `__proto__`. JSON.stringify writes the mark in its place, which the document's text then replaces (document-text.ts).
 */
export class ServiceTable extends Map<string, HvSocketService> {
  toJSON(): RawJson {
    return serviceTableMark;
  }
}

/** A number that JSON.stringify never writes by itself. */
export const serviceTableMark = JSON.rawJSON('0e0');

const standardService: HvSocketService = {
  BindSecurityDescriptor: SecurityDescriptor.Everyone,
  ConnectSecurityDescriptor: SecurityDescriptor.SystemAndAdministrators,
  AllowWildcardBinds: true,
  Disabled: undefined,
};

/** Ports that every SNP guest dials or is dialled on, in the original's order. */
const standardPorts = [VsockPort.Entropy, VsockPort.Log, VsockPort.GuestService, VsockPort.SecondGuestService];

/** The ordinary table: what the options say, keys as they are; undefined when that is nothing. ExtraVSockPorts play no part. */
export function ordinaryServiceTable(options: LinuxOptions): ServiceTable | undefined {
  const table = new ServiceTable();
  addConfigured(table, options);
  return table.size === 0 ? undefined : table;
}

/**
 * The SNP table: the options' entries, then those of the ports, which replace equal keys. Equal means byte by byte: an upper-case
 * spelling of the same GUID stays an entry of its own (quirk 25).
 */
export function snpServiceTable(options: LinuxOptions): ServiceTable {
  const table = new ServiceTable();
  addConfigured(table, options);
  for (const port of standardPorts) {
    table.set(vsockServiceGuid(port), standardService);
  }
  for (const port of options.ExtraVSockPorts) {
    table.set(vsockServiceGuid(port), standardService);
  }
  return table;
}

function addConfigured(table: ServiceTable, options: LinuxOptions): void {
  for (const [key, service] of Object.entries(options.AdditionalHyperVConfig)) {
    table.set(key, written(service));
  }
}

function written(service: HvSocketServiceOptions): HvSocketService {
  return {
    BindSecurityDescriptor: unlessEmpty(service.BindSecurityDescriptor ?? ''),
    ConnectSecurityDescriptor: unlessEmpty(service.ConnectSecurityDescriptor ?? ''),
    AllowWildcardBinds: unlessEmpty(service.AllowWildcardBinds ?? false),
    Disabled: unlessEmpty(service.Disabled ?? false),
  };
}

/** The service GUID of a vsock port (§0.6). */
export function vsockServiceGuid(port: number): string {
  return port.toString(16).padStart(8, '0') + vsockServiceGuidTail;
}
