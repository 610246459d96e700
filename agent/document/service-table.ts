// The table of hvsock services: {GUID: who may bind and connect} (docs/reference/hcs-documents.md §6.3, §7.3).
import { sortedRecord } from './byte-order.ts';
import { SecurityDescriptor, VsockPort, vsockServiceGuidTail } from './constants.ts';
import { unlessEmpty } from './json-numbers.ts';
import type { HvSocketServiceOptions, LinuxOptions } from './options.ts';

export interface HvSocketService {
  readonly BindSecurityDescriptor: string | undefined;
  readonly ConnectSecurityDescriptor: string | undefined;
  readonly AllowWildcardBinds: boolean | undefined;
  readonly Disabled: boolean | undefined;
}

/** Keys are in byte order, except that keys such as "7" come first: `documentText` corrects this. */
export type ServiceTable = Readonly<Record<string, HvSocketService>>;

const standardService: HvSocketService = {
  BindSecurityDescriptor: SecurityDescriptor.Everyone,
  ConnectSecurityDescriptor: SecurityDescriptor.SystemAndAdministrators,
  AllowWildcardBinds: true,
  Disabled: undefined,
};

/** Ports that connect every SNP guest with its host, in byte order of their GUIDs. */
const standardPorts = [VsockPort.Entropy, VsockPort.Log, VsockPort.GuestService, VsockPort.SecondGuestService];

/**
 * The ordinary table: the options' entries with unchanged keys; undefined when there are none. ExtraVSockPorts are not
 * part of it.
 */
export function ordinaryServiceTable(options: LinuxOptions): ServiceTable | undefined {
  const configured = configuredServices(options);
  return configured.length === 0 ? undefined : sortedRecord(configured);
}

/**
 * The SNP table: the options' entries, then those of the ports, which replace equal keys. Keys are compared byte by
 * byte: an upper-case spelling of the same GUID remains a separate entry (quirk 25).
 */
export function snpServiceTable(options: LinuxOptions): ServiceTable {
  const configured = configuredServices(options);
  const extra = options.ExtraVSockPorts;
  return configured.length === 0 && extra.length === 0
    ? standardTable
    : sortedRecord(new Map([...configured, ...standardEntries, ...extra.map(standardEntry)]));
}

const standardEntries = standardPorts.map(standardEntry);
const standardTable: ServiceTable = Object.fromEntries(standardEntries);

function standardEntry(port: number): readonly [string, HvSocketService] {
  return [vsockServiceGuid(port), standardService];
}

/** The service GUID of a vsock port (§0.6). */
export function vsockServiceGuid(port: number): string {
  return port.toString(16).padStart(8, '0') + vsockServiceGuidTail;
}

function configuredServices(options: LinuxOptions): (readonly [string, HvSocketService])[] {
  return Object.entries(options.AdditionalHyperVConfig).map(([key, service]) => [key, written(service)]);
}

function written(service: HvSocketServiceOptions): HvSocketService {
  return {
    BindSecurityDescriptor: unlessEmpty(service.BindSecurityDescriptor ?? ''),
    ConnectSecurityDescriptor: unlessEmpty(service.ConnectSecurityDescriptor ?? ''),
    AllowWildcardBinds: unlessEmpty(service.AllowWildcardBinds ?? false),
    Disabled: unlessEmpty(service.Disabled ?? false),
  };
}
