// Numbers as the panel writes them.

export const number = (value) => value.toLocaleString('en-US');
export const percent = (value) => value.toFixed(1);
export const range = (low, high) => `${percent(low)} to ${percent(high)}`;
export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

/** An area as a pathologist names it: 0.20 mm²; small ones keep three digits. */
export const area = (mm2) => `${mm2 >= 0.1 ? mm2.toFixed(2) : mm2.toPrecision(2)} mm²`;

/** The date and minute of an ISO time, as this computer's clock has them. */
export function when(iso) {
  const at = new Date(iso), two = (n) => String(n).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}
