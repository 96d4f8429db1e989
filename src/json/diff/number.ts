/** Exponents of more digits than these are no numbers of JavaScript. */
const SAFE_DIGITS = 15

/**
 * One text for all texts of a JSON number's value, however long: the digits without zeros at their ends, and the power of ten of the
 * last one. `1.0` and `1` are `1e0`, `1e2` and `100` are `1e2`, `-0` and `0` are `0`.
 */
export function canonicalNumber(text: string): string {
  const mark = text.search(/[eE]/)
  const mantissa = mark === -1 ? text : text.slice(0, mark)
  const sign = mantissa.startsWith('-') ? '-' : ''
  const dot = mantissa.indexOf('.')
  const whole = mantissa.slice(sign.length, dot === -1 ? undefined : dot)
  const fraction = dot === -1 ? '' : mantissa.slice(dot + 1)
  const digits = whole + fraction
  const start = pastZeros(digits)
  if (start === digits.length) return '0'
  const end = beforeZeros(digits)
  const shift = digits.length - end - fraction.length
  return `${sign}${digits.slice(start, end)}e${plus(mark === -1 ? '0' : text.slice(mark + 1), shift)}`
}

function pastZeros(digits: string): number {
  let at = 0
  while (digits[at] === '0') at++
  return at
}

function beforeZeros(digits: string): number {
  let at = digits.length
  while (digits[at - 1] === '0') at--
  return at
}

function plus(exponent: string, shift: number): string {
  if (exponent.length <= SAFE_DIGITS) return String(Number(exponent) + shift)
  return String(BigInt(exponent.replace('+', '')) + BigInt(shift))
}
