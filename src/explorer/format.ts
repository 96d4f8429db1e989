const UNITS = ['B', 'KB', 'MB', 'GB', 'TB']

/** `24.0 MB`: decimal units, three digits. */
export function formatBytes(bytes: number | string | null | undefined): string {
  if (bytes === null || bytes === undefined) return '–'
  let value = Number(bytes)
  let unit = 0
  // What would be written as 1000 of one unit is 1 of the next.
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

export const formatCount = (count: number) => count.toLocaleString('en-US')

/** `1 key`, `12,000 keys`. */
export function counted(count: number, word: string): string {
  return `${formatCount(count)} ${count === 1 ? word : `${word}s`}`
}

/** `320 ms`, `4.2 s`, `11 min 42 s`, `3 h 05 min`. */
export function formatDuration(millis: number | null | undefined): string {
  if (millis === null || millis === undefined) return '–'
  if (millis < 1000) return `${Math.round(millis)} ms`
  const seconds = millis / 1000
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
  const minutes = Math.round(seconds / 60)
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** Local time to the second: `2026-04-12 02:00:05`. */
export function formatTime(instant: string | null | undefined): string {
  if (!instant) return '–'
  const date = new Date(instant)
  const two = (part: number) => String(part).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** `5 s ago`, `3 d ago`. */
export function formatAge(instant: string, now = Date.now()): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(instant)) / 1000))
  if (seconds < 60) return `${seconds} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`
  return `${Math.floor(seconds / 86_400)} d ago`
}

/** What turns the direction of a text, or is not seen at all; but for line ends, tabs and the joiners that scripts need. */
const UNSEEN = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** A stranger's text for the eye: what would be invisible, or turn its surroundings round, stands there as its escape. */
export function visible(text: string): string {
  return text
    .replace(UNSEEN, (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`)
    .toWellFormed()
}

/** At most so many units, never cut within a character, with a mark where something is missing. */
export function shorten(text: string, most: number): string {
  if (text.length <= most) return text
  const isCutWithin = /[\ud800-\udbff]/.test(text.charAt(most - 1))
  return `${text.slice(0, isCutWithin ? most - 1 : most)}…`
}
