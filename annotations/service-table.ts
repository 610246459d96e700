// HvSocket services from annotations, each with the GUID of a service in its key and JSON as its value
// (docs/reference/hcs-documents.md §9.4).
import { parseGuid } from '../agent/document/guid.ts';
import type { HvSocketServiceOptions } from '../agent/document/options.ts';
import { DocumentError } from '../agent/document/outcome.ts';
import { equalFold } from '../agent/document/windows-paths.ts';
import { type JsonMember, readJsonMembers } from './json-members.ts';
import { Key } from './keys.ts';
import type { AnnotationReader } from './reader.ts';

type ServiceTable = Record<string, HvSocketServiceOptions>;

export function readServiceTable(reader: AnnotationReader): ServiceTable {
  const services = new Map<string, HvSocketServiceOptions>();
  for (const [key, value] of reader.entries()) {
    if (!key.startsWith(Key.HvSocketServicePrefix)) continue;
    const guid = readGuid(reader, key, value);
    const service = guid === undefined ? undefined : parseService(value);
    if (guid !== undefined && service !== undefined) services.set(guid, service);
    else if (guid !== undefined) reader.warnUnparsed(key, value, 'hcsschema.HvSocketServiceConfig');
  }
  return Object.fromEntries(services);
}

function readGuid(reader: AnnotationReader, key: string, value: string): string | undefined {
  const guid = key.slice(Key.HvSocketServicePrefix.length);
  try {
    return parseGuid(guid);
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    const message = 'invalid GUID string for Hyper-V socket service configuration annotation';
    reader.warn(message, { 'oci-annotation': key, value, guid });
    reader.ignore(key, value, 'the end of its key is not a GUID such as 0000006d-facb-11e6-bd58-64006a7986d3');
    return undefined;
  }
}

/** Undefined: the original's decoder refuses it. */
function parseService(text: string): HvSocketServiceOptions | undefined {
  const members = readJsonMembers(text);
  const service: HvSocketServiceOptions = {};
  return members?.every((member) => assign(service, member)) ? service : undefined;
}

const textMembers = ['BindSecurityDescriptor', 'ConnectSecurityDescriptor'] as const;
const flagMembers = ['AllowWildcardBinds', 'Disabled'] as const;

/**
 * False if the value has the wrong type. A later member replaces an earlier one; null leaves it. Letter case does not
 * matter, and other members are ignored. Empty values are those of an absent member.
 */
function assign(service: HvSocketServiceOptions, [name, value]: JsonMember): boolean {
  if (value === null) return true;
  const text = textMembers.find((member) => equalFold(member, name));
  const flag = flagMembers.find((member) => equalFold(member, name));
  if (text !== undefined) return typeof value === 'string' && set(service, text, value);
  return flag === undefined || (typeof value === 'boolean' && set(service, flag, value));
}

function set<Name extends keyof HvSocketServiceOptions>(
  service: HvSocketServiceOptions,
  name: Name,
  value: NonNullable<HvSocketServiceOptions[Name]>,
): boolean {
  delete service[name];
  if (value !== '' && value !== false) service[name] = value;
  return true;
}
