import { AppError } from '../errors.ts'

/**
 * A moment in UTC with up to six digits of a second, as PostgreSQL has it: RFC 3339 text as far as that goes, and beyond it
 * `infinity`, `-infinity`, years of five and six digits, and years with ` BC` at the end, which other writers may leave.
 */
export type Instant = string

const LAST = '9999-12-31T23:59:59.999999Z'
const FIRST = '0001-01-01T00:00:00Z'

/** The moment as RFC 3339, or the nearest one that RFC 3339 can say and that is taken back. */
export function toRfc3339(instant: Instant): string {
  if (isRfc3339(instant)) return instant
  return instant === '-infinity' || instant.endsWith('BC') ? FIRST : LAST
}

/** Whether an instant is RFC 3339 as it is; nothing else is looked at of a text. */
export function isRfc3339(instant: unknown): boolean {
  // The hyphen behind a year of four digits.
  return typeof instant === 'string' && instant[4] === '-' && instant.endsWith('Z')
}

/** Milliseconds from one moment to another; null while either is not known, or is no point in time. */
export function millisBetween(from: Instant | null, to: Instant | null): number | null {
  if (from === null || to === null) return null
  const millis = Date.parse(to) - Date.parse(from)
  return Number.isNaN(millis) ? null : millis
}

/** Negative when the first is earlier, positive when it is later, 0 when they are the same moment. */
export function compareInstants(one: Instant, other: Instant): number {
  const [a, b] = [orderOf(one), orderOf(other)]
  return a.era - b.era || (a.text < b.text ? -1 : a.text > b.text ? 1 : 0)
}

function orderOf(instant: Instant): { readonly era: number; readonly text: string } {
  if (instant === '-infinity') return { era: -2, text: '' }
  if (instant === 'infinity') return { era: 1, text: '' }
  if (instant.endsWith('BC')) return { era: -1, text: '' }
  const [year = '', ...rest] = instant.slice(0, -1).split('-')
  const [seconds = '', fraction = ''] = rest.join('-').split('.')
  return { era: 0, text: `${year.padStart(6, '0')}-${seconds}.${fraction.padEnd(6, '0')}` }
}

/** Hours end at 23: only ISO 8601 has an hour 24. */
const RFC_3339 = /^(\d{4}-\d\d-\d\d)[Tt ]((?!24)\d\d:\d\d:)(\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/

/** @throws AppError `BAD_REQUEST` when the text is not an instant of the calendar. */
export function parseInstant(value: unknown): Instant {
  const [, date, minute, second, fraction = '', zone = ''] = RFC_3339.exec(typeof value === 'string' ? value : '') ?? []
  const isLeap = second === '60'
  const utc = isoText(`${date}T${minute}${isLeap ? '59' : second}${zone.toUpperCase()}`)
  // The 31st of February would roll over to March; a real date does not. The zone may lead out of years of four digits.
  const isDate = date !== undefined && isoText(`${date}T00:00:00Z`).startsWith(date) && /^(?!0000)\d{4}-/.test(utc)
  if (!isDate || (isLeap && !utc.endsWith('23:59:59.000Z'))) {
    throw new AppError('BAD_REQUEST', 'DateTime must be RFC 3339, such as 2026-11-23T09:30:00Z')
  }
  // No clock here has a second that was put in: it is held at the last moment of the one before, which keeps the order.
  return `${utc.slice(0, 19)}${isLeap ? '.999999' : fraction.slice(0, 7)}Z`
}

/** Empty for what is no moment. */
function isoText(text: string): string {
  const date = new Date(text)
  return Number.isNaN(date.getTime()) ? '' : date.toISOString()
}
