import type { Instant } from '../model/instant.ts'

/** `2026-11-23 01:41:09.123456+00`, as PostgreSQL prints it in UTC and the ISO style, which every connection of ours asks for. */
export function toInstant(text: string): Instant {
  if (text[4] === '-' && text.endsWith('+00')) return `${text.slice(0, 10)}T${text.slice(11, -3)}Z`
  // Years beyond 9999, and before the first. What is neither is an infinity, and stays.
  return text.replace(/^(\d+-\d\d-\d\d) (\S+)\+00/, '$1T$2Z')
}
