// Numbers as the panel writes them.

export const number = (value) => value.toLocaleString('en-US');
export const range = (low, high, cutoffs) => `${percent(low, cutoffs)} to ${percent(high, cutoffs)}`;
export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

/** One decimal, or as many as keep it on its side of every cut-off: what the report prints (domain/rules.py: show_percent). */
export function percent(value, cutoffs = []) {
  for (let decimals = 1; decimals <= 15; decimals++) {
    const shown = value.toFixed(decimals);
    if (cutoffs.every((cut) => Math.sign(value - cut) === Math.sign(shown - cut))) return shown;
  }
  return String(value);
}

/** An area as a pathologist names it: 0.20 mm²; small ones keep three digits. */
export const area = (mm2) => `${mm2 >= 0.1 ? mm2.toFixed(2) : mm2.toPrecision(2)} mm²`;

/** The date and minute of an ISO time, as this computer's clock has them. */
export function when(iso) {
  const at = new Date(iso), two = (n) => String(n).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** How long something still takes, as one would say it. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(5, Math.round(seconds / 5) * 5)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const rest = Math.round((minutes % 60) / 10) * 10, hours = Math.floor(minutes / 60) + (rest === 60 ? 1 : 0);
  return rest % 60 ? `${hours} h ${rest} min` : `${hours} h`;
}

/** Room on a disk: 412 MB, 1.3 GB. */
export function bytes(n) {
  const mb = n / 1e6;
  return mb < 1 ? 'less than 1 MB' : mb < 1000 ? `${number(Math.round(mb))} MB` : `${(mb / 1000).toFixed(1)} GB`;
}

/**
 * What was typed as a number from 0 to most: { value } (null for nothing), or { hint: what is wrong }. A comma is a decimal mark, but
 * 1,000 could be either; unit: a sign that may follow.
 */
export function readNumber(typed, most, unit = '') {
  const text = typed.trim(), bare = unit && text.endsWith(unit) ? text.slice(0, -unit.length).trim() : text;
  if (bare === '') return text === '' ? { value: null } : { hint: 'A number is missing.' };
  if (most >= 1000 && /^\d{1,3},\d{3}$/.test(bare)) return { hint: `${bare} can be read in two ways: write ${bare.replace(',', '')} or ${bare.replace(',', '.')}.` };
  const value = /^(\d+[.,]?\d*|[.,]\d+)$/.test(bare) ? Number(bare.replace(',', '.')) : NaN;
  return value <= most ? { value } : { hint: `“${text}” is no number from 0 to ${number(most)}.` };
}
