// Types of members in HCS documents (hcs-documents §8): integers of each width, exact beyond 2^53.
import { z } from 'zod';

function unsigned(bits: bigint) {
  const max = 2n ** bits - 1n;
  return z.union([z.int().min(0), z.bigint().min(0n)]).refine((value) => BigInt(value) <= max, {
    error: `must be an unsigned ${bits}-bit integer`,
  });
}

export const u8 = unsigned(8n);
export const u16 = unsigned(16n);
export const u32 = unsigned(32n);
export const u64 = unsigned(64n);
export const i32 = z.int().min(-0x8000_0000).max(0x7fff_ffff);
export const i64 = z.union([
  z.int(),
  z
    .bigint()
    .min(-(2n ** 63n))
    .max(2n ** 63n - 1n),
]);
export const guid = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, 'must be a GUID');
export const decimal = z.string().regex(/^(0|[1-9][0-9]{0,9})$/, 'must be a decimal number');
