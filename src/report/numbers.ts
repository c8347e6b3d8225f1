/** Numbers as people read them. */

/** `0.8312` as `83.1 %`; shares that are neither 0 nor 1 never print as 0 or 100 %. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return '–';
  const value = share * 100;
  if (share > 0 && value < 0.1) return '<0.1 %';
  if (share < 1 && value > 99.9) return '>99.9 %';
  return `${value === 100 || value === 0 ? value : value.toFixed(1)} %`;
}

/** `1234567` as `1,234,567`. */
export function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

/** `n image` or `n images`. */
export function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** A duration in ms as `0.8 s`, `42 s`, `3 min 05 s` or `2 h 07 min`. */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.round(seconds) % 60).padStart(2, '0')} s`;
  const whole = Math.round(seconds / 60);
  return `${Math.floor(whole / 60)} h ${String(whole % 60).padStart(2, '0')} min`;
}

/** Events a second with two significant digits below ten. */
export function rate(count: number, ms: number): string {
  if (ms <= 0 || count <= 0) return '–';
  const value = (count * 1000) / ms;
  return value >= 10 ? grouped(Math.round(value)) : value.toPrecision(2);
}
