// Whether the first bytes of a connection are a whole ClientHello (RFC 8446 §5.1). Nothing in it is believed: it only tells
// whose turn with the processor may come, and who speaks no TLS at all.

export type Greeting = 'Incomplete' | 'Complete' | 'Foreign';

/** Far more than a ClientHello has. Nobody who speaks TLS says more before the server has answered. */
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

/** Without TLS, whoever says anything is served. */
export function plainGreeting(bytes: Buffer): Greeting {
  if (bytes.length > greetingBytesMaximum) return 'Foreign';
  return bytes.length === 0 ? 'Incomplete' : 'Complete';
}
