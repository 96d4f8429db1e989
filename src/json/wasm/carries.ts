/**
 * Where a document stands between two bytes, as the blocks of `scanner.as.ts` hand it on: one bit for each rule that looks at the
 * byte before. This file is TypeScript and AssemblyScript at once: the grammar gives each of its rows these bits, so that a scan may
 * go from one scanner to the other at any byte.
 */

/** What is around: two bits, 0 for the document itself. */
export const IN_ARRAY = 1
export const IN_OBJECT = 2

/** Tokens: what must come next. */
export const AFTER_OPENER_OR_COMMA = 4
export const AFTER_COMMA = 8
/** Also at the start: one value must come. */
export const AFTER_COLON = 16
export const AFTER_KEY = 32

/** Inside of a string, and of which kind. */
export const IN_STRING = 64
export const IN_KEY = 128
export const AFTER_BACKSLASH = 256
/** Four bits, as many of them set as hexadecimal digits must come. */
export const HEX_SHIFT = 9

/** Inside of a number: what the byte before was, and which part of it the digits are. */
export const IN_NUMBER = 0x2000
export const AFTER_SIGN = 0x4000
export const AFTER_FIRST_SIGN = 0x8000
export const AFTER_LEADING_ZERO = 0x10000
export const AFTER_POINT = 0x20000
export const AFTER_E = 0x40000
export const IN_FRACTION = 0x80000
export const IN_EXPONENT = 0x100000
export const AFTER_EXPONENT_SIGN = 0x200000

/** Inside of `true`, `false` or `null`: two bits tell which, four have as many set as letters must come. */
export const WORD_SHIFT = 22
export const WORD_TRUE = 1
export const WORD_FALSE = 2
export const WORD_NULL = 3
export const LETTERS_SHIFT = 24
