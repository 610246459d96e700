// HvSocket services and devices: what the original's decoder and path functions make of odd texts.
import { describe, expect, it } from 'vitest';
import { readAnnotations } from '../../annotations/given.ts';
import { Key } from '../../annotations/keys.ts';
import type { OciSpec } from '../../annotations/spec.ts';

function given(spec: OciSpec) {
  const reading = readAnnotations({ linux: {}, ...spec });
  if (reading.kind === 'refused') throw new Error(reading.message);
  return reading;
}

const guid = '0000006d-facb-11e6-bd58-64006a7986d3';
const service = (text: string) => {
  const { given: options, warnings } = given({ annotations: { [Key.HvSocketServicePrefix + guid]: text } });
  return warnings.length > 0 ? 'refused' : options.AdditionalHyperVConfig?.[guid];
};

describe('a service', () => {
  it.each([
    ['null', {}],
    [' {} ', {}],
    ['{"Disabled":true}', { Disabled: true }],
    ['{"DISABLED":true}', { Disabled: true }],
    // U+017F folds to s.
    ['{"bind\u017fecuritydescriptor":"D:P"}', { BindSecurityDescriptor: 'D:P' }],
    ['{"Disabled":true,"disabled":false}', {}],
    ['{"Disabled":true,"Disabled":null}', { Disabled: true }],
    ['{"disabled":false,"Disabled":true,"disabled":true}', { Disabled: true }],
    [String.raw`{"Bind\u0053ecurityDescriptor":"\"}{\\"}`, { BindSecurityDescriptor: '"}{\\' }],
    [String.raw`{"BindSecurityDescriptor":"\ud800"}`, { BindSecurityDescriptor: '\ufffd' }],
    ['{"other":{"Disabled":"x"},"list":[1,{"Disabled":2}],"AllowWildcardBinds":true}', { AllowWildcardBinds: true }],
    ['{"BindSecurityDescriptor":"","AllowWildcardBinds":false}', {}],
  ])('is read from %s', (text, expected) => {
    expect(service(text)).toEqual(expected);
  });

  it.each(['', '{', '{bad', '[]', '1', '"x"', 'true', '{"Disabled":1}', '{"Disabled":"true"}', '{"Disabled":[]}'])(
    'is not read from %s',
    (text) => {
      expect(service(text)).toBe('refused');
    },
  );

  it.each(['{"BindSecurityDescriptor":{}}', '{"Disabled":1,"Disabled":true}', '{} {}', '{"a":1,}'])(
    'is not read from %s',
    (text) => {
      expect(service(text)).toBe('refused');
    },
  );
});

describe('a device', () => {
  it.each([
    ['PCIP\\A', 'PCIP\\A', 0],
    ['PCIP\\A\\3', 'PCIP\\A', 3],
    ['PCIP\\A\\3\\', 'PCIP\\A\\3', 3],
    ['PCIP/A/65535', 'PCIP\\A', 65535],
    ['PCIP\\A\\65536', 'PCIP\\A\\65536', 0],
    ['PCIP\\A\\+3', 'PCIP\\A\\+3', 0],
    ['\\5', '\\', 5],
    ['C:5', 'C:.', 5],
    ['C:\\5', 'C:\\', 5],
    ['\\\\host\\share\\5', '\\\\host\\share\\', 5],
    ['', '', 0],
    ['\\', '\\', 0],
  ])('%j', (id, deviceInstanceID, virtualFunctionIndex) => {
    const { given: options } = given({ windows: { devices: [{ id, idType: 'gpu' }] } });
    expect(options.AssignedDevices).toEqual([{ deviceInstanceID, virtualFunctionIndex }]);
  });
});

describe('a pod', () => {
  it('that contradicts itself in several ways is told all of them', () => {
    const reading = readAnnotations({
      linux: {},
      annotations: {
        'io.microsoft.disable-unsafe-operations': 'false',
        'io.microsoft.virtualmachine.wcow.virtualSMB.nodirectmap': 'true',
        'microsoft.com/disable-hostprocess-container': 'true',
        'microsoft.com/hostprocess-container': '1',
      },
    });
    expect(reading).toMatchObject({ kind: 'refused', message: expect.any(String) });
    expect(reading.kind === 'refused' && reading.message.split('\n')).toEqual([
      'unable to process OCI Spec annotations: annotation expansion conflict: "io.microsoft.disable-unsafe-operations" = "false" and "io.microsoft.virtualmachine.wcow.virtualSMB.nodirectmap" = "true"',
      'annotation expansion conflict: "io.microsoft.disable-unsafe-operations" = "false" and "microsoft.com/disable-hostprocess-container" = "true"',
      'specified annotations conflict: host process container annotations "microsoft.com/disable-hostprocess-container" = "true" and "microsoft.com/hostprocess-container" = "1"',
    ]);
    expect(reading.warnings).toHaveLength(3);
  });

  it('of Windows is refused', () => {
    expect(readAnnotations({ windows: { hyperv: {} } })).toMatchObject({ kind: 'refused' });
  });

  it('keeps the warnings that came before a refusal', () => {
    const reading = readAnnotations({
      linux: {},
      annotations: { [Key.AllowOvercommit]: 'x', [Key.ResourcePartitionID]: 'y', [Key.HclEnabled]: 'z' },
    });
    expect(reading).toMatchObject({ kind: 'refused' });
    expect(reading.warnings).toHaveLength(1);
  });
});
