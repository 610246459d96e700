// Stream data as one binary frame, for sides that announced it (`streamEncodings`): base64 within JSON costs both sides
// several times as much as the bytes themselves. Eight bytes precede the data: the kind of the frame (1), the channel's
// index in `streamChannels`, and the number of the stream, big-endian.
import { type StreamChannel, streamChannels } from './messages.ts';

const kindOfData = 1;
const headerBytes = 8;
const streamAt = 2;
const streamBytes = 6;

export interface StreamBytes {
  readonly stream: number;
  readonly channel: StreamChannel;
  readonly bytes: Buffer;
}

export function encodeStreamFrame({ bytes, channel, stream }: StreamBytes): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + bytes.length);
  frame[0] = kindOfData;
  frame[1] = streamChannels.indexOf(channel);
  frame.writeUIntBE(stream, streamAt, streamBytes);
  bytes.copy(frame, headerBytes);
  return frame;
}

/** Undefined when the frame is not of this kind. The data is not copied. */
export function decodeStreamFrame(frame: Buffer): StreamBytes | undefined {
  const channel = streamChannels[frame[1] ?? -1];
  if (frame.length < headerBytes || frame[0] !== kindOfData || channel === undefined) return undefined;
  return { stream: frame.readUIntBE(streamAt, streamBytes), channel, bytes: frame.subarray(headerBytes) };
}
