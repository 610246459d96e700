// Checks whether the first bytes of a connection are a whole ClientHello (RFC 8446 §5.1). Its content is not trusted:
// it only decides when the connection gets a turn with the processor, and which peers do not speak TLS.

export type Greeting = 'Incomplete' | 'Complete' | 'Foreign';

/** Far larger than a ClientHello. No TLS client sends more before the server has answered. */
export const greetingBytesMaximum = 8 * 1024;

const recordHeaderBytes = 5;
const handshakeRecord = 0x16;
const majorVersion = 0x03;

export function tlsGreeting(bytes: Buffer): Greeting {
  if (bytes.length === 0) return 'Incomplete';
  if (bytes[0] !== handshakeRecord || (bytes[1] ?? majorVersion) !== majorVersion) return 'Foreign';
  if (bytes.length > greetingBytesMaximum) return 'Foreign';
  if (bytes.length < recordHeaderBytes) return 'Incomplete';
  const recordBytes = recordHeaderBytes + bytes.readUInt16BE(3);
  if (recordBytes > greetingBytesMaximum) return 'Foreign';
  return bytes.length >= recordBytes ? 'Complete' : 'Incomplete';
}

/** Without TLS, any data counts as a greeting. */
export function plainGreeting(bytes: Buffer): Greeting {
  if (bytes.length > greetingBytesMaximum) return 'Foreign';
  return bytes.length === 0 ? 'Incomplete' : 'Complete';
}
