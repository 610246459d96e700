import { describe, expect, it } from 'vitest';
import { EndpointUnreadable, readEndpoint, withOverhead } from '../../../agent/network/endpoint.ts';

const addresses = (text: string) => readEndpoint(text).addresses;
const search = (text: string) => readEndpoint(text).dns.search;

// The expected values are those of the decoder of Go 1.26.
describe('a list of an endpoint that comes twice', () => {
  it('is read entry by entry into the earlier one', () => {
    const twice = '{"IpConfigurations":[{"IpAddress":"a","PrefixLength":1}],"ipconfigurations":[{"PrefixLength":2}]}';
    expect(addresses(twice)).toEqual([{ address: 'a', prefixLength: 2 }]);
  });

  it('only hides what a shorter one in between leaves out', () => {
    expect(search('{"Dns":{"Search":["a","b","c"]},"Dns":{"Search":["d"]},"Dns":{"Search":[null,null,"e"]}}')).toEqual([
      'd',
      'b',
      'e',
    ]);
  });

  it.each(['[]', 'null'])('is new after %s', (between) => {
    expect(search(`{"Dns":{"Search":["a","b"]},"Dns":{"Search":${between}},"Dns":{"Search":[null]}}`)).toEqual(['']);
  });
});

describe('the properties of an endpoint', () => {
  it('match in any letter case, Unicode included', () => {
    expect(search('{"dn\u017f":{"\u017fEARCH":["a"]}}')).toEqual(['a']);
  });

  it('are ignored when they are unknown, whatever they are', () => {
    expect(readEndpoint('{"ID":"e","__proto__":{"ID":"f"},"Next":[1e999]}').id).toBe('e');
  });

  it.each([
    ['{"IpConfigurations":[{},{"PrefixLength":256}]}', 'IpConfigurations[1].PrefixLength: 256 is not an integer from'],
    ['{"Routes":[{"Metric":-0}]}', 'Routes[0].Metric: -0 is not an integer from 0 to 65535'],
    ['{"Health":{"Data":[1e999]}}', 'Health.Data: 1e999 is too large'],
    ['{"SchemaVersion":{"Major":9223372036854775808}}', 'SchemaVersion.Major: 9223372036854775808 is not an integer'],
    ['{"Dns":[]}', 'Dns: a list instead of an object'],
    ['[]', 'a list instead of an object'],
    ['\ufeff{}', 'JSON'],
    [`${'['.repeat(10_001)}${']'.repeat(10_001)}`, 'more than 10000 levels'],
  ])('%.40s are refused, and the message names the member', (text, message) => {
    expect(() => readEndpoint(text)).toThrow(EndpointUnreadable);
    expect(() => readEndpoint(text)).toThrow(message);
  });

  it('with a malformed overhead can be read, but no adapter can be added', () => {
    const endpoint = readEndpoint('{"ID":"e","Policies":[{"Type":"EncapOverhead","Settings":{"Overhead":"50"}}]}');
    expect(endpoint.id).toBe('e');
    expect(() => withOverhead(endpoint)).toThrow('Overhead: a text instead of a number');
  });
});
