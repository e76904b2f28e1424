/** Durations, in milliseconds. */
export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** The greatest time that a JavaScript date can hold; a greater number is no time at all. */
export const MAX_TIME = 8.64e15;

const ISO_8601 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)$/;

/**
 * The instant that an ISO-8601 text with an offset names, in epoch milliseconds (finer fractions are cut off), or null
 * where it names none: no offset, a day that its month does not have, an hour above 23.
 */
export function parseIsoTime(text: string): number | null {
  const parts = ISO_8601.exec(text);
  if (parts === null) return null;
  const [, year, month, day, hour, minute, second = '0', fraction = '0', , sign, offsetHour = '0', offsetMinute = '0'] =
    parts;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return null;
  if (Number(offsetHour) > 23 || Number(offsetMinute) > 59) return null;
  const midnight = Date.parse(`${year}-${month}-${day}T00:00:00Z`);
  // Some engines roll the 31st of a short month over into the next: the date must read back as it was written.
  if (Number.isNaN(midnight) || new Date(midnight).getUTCDate() !== Number(day)) return null;
  const local =
    midnight +
    Number(hour) * HOUR +
    Number(minute) * MINUTE +
    Number(second) * SECOND +
    Number(fraction.padEnd(3, '0').slice(0, 3));
  const offset = Number(offsetHour) * HOUR + Number(offsetMinute) * MINUTE;
  return sign === '-' ? local + offset : local - offset;
}

/** `2025-11-24T16:00:00.123Z`: at which places its numbers stand. */
const PLAIN_ISO = Buffer.from('0000-00-00T00:00:00.000Z');
const ZERO = 0x30;
/** By month: how many days it has every year. */
const DAYS = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * The same of a text as bytes where it is written as most are, in UTC with milliseconds, and not on a 29th of February; null
 * where it is anything else.
 */
export function plainIsoTime(bytes: Uint8Array, begin: number, end: number): number | null {
  if (end - begin !== PLAIN_ISO.length) return null;
  for (let i = 0; i < PLAIN_ISO.length; i++) {
    const byte = bytes[begin + i];
    if (PLAIN_ISO[i] === ZERO ? byte < ZERO || byte > 0x39 : byte !== PLAIN_ISO[i]) return null;
  }
  const two = (at: number) => (bytes[begin + at] - ZERO) * 10 + bytes[begin + at + 1] - ZERO;
  const [month, day, hour, minute, second] = [two(5), two(8), two(11), two(14), two(17)];
  if (month < 1 || month > 12 || day < 1 || day > DAYS[month] || hour > 23 || minute > 59 || second > 59) return null;
  const milliseconds = (bytes[begin + 20] - ZERO) * 100 + two(21);
  const year = two(0) * 100 + two(2);
  // The first century is another to `Date.UTC`.
  if (year < 100) return null;
  return Date.UTC(year, month - 1, day, hour, minute, second, milliseconds);
}

/**
 * The UTC date of a time, as `YYYY-MM-DD`.
 *
 * @param time a whole number of milliseconds
 * @throws RangeError where it is no time
 */
export function utcDay(time: number): string {
  const day = Math.floor(time / DAY);
  if (day !== lastDay || time > MAX_TIME) {
    const iso = new Date(time).toISOString();
    lastDate = iso.slice(0, iso.indexOf('T'));
    lastDay = day;
  }
  return lastDate;
}

/** Of the day that was asked for last: thousands of times are written at once, most of one day. */
let lastDay = NaN;
let lastDate = '';

/**
 * A time as `Date.toISOString` writes it, in a third of the time.
 *
 * @param time a whole number of milliseconds
 * @throws RangeError where it is no time
 */
export function isoTime(time: number): string {
  const date = utcDay(time);
  const inDay = time - Math.floor(time / DAY) * DAY;
  const hour = TWO[Math.floor(inDay / HOUR)];
  const minute = TWO[Math.floor(inDay / MINUTE) % 60];
  const second = TWO[Math.floor(inDay / SECOND) % 60];
  return `${date}T${hour}:${minute}:${second}.${THREE[inDay % SECOND]}Z`;
}

const TWO = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, '0'));
const THREE = Array.from({ length: 1000 }, (_, number) => String(number).padStart(3, '0'));
