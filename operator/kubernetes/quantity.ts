// Kubernetes quantities (apimachinery, pkg/api/resource): a decimal number with a binary suffix, a decimal suffix or an
// exponent, such as 67108404Ki, 64Gi, 129M, 1.5e9 or 128974848000m.

const binary: Readonly<Record<string, number>> = {
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};
const decimal: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
};

const quantity = /^\+?(\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:([eE][+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i))?$/;

/** Undefined for a text that is not a quantity, and for a negative one. */
export function parseQuantity(text: string): number | undefined {
  const [, digits, exponent, suffix = ''] = quantity.exec(text) ?? [];
  if (digits === undefined) return undefined;
  if (exponent !== undefined) return Number(`${digits}${exponent}`);
  const factor = binary[suffix] ?? decimal[suffix];
  return factor === undefined ? undefined : Number(digits) * factor;
}
