/*
 * AssemblyScript. RFC 8259, 64 bytes a step and no loop over tokens: the grammar as rules between neighbours in bit masks, of which
 * bit n stands for byte n of the block. A loop runs over braces and brackets alone. UTF-8 is checked elsewhere.
 *
 * A call keeps nothing for the next one: where the document stands comes as a parameter and goes as the result (`carries.ts`), and
 * the stack of what is open lies in memory, where the caller puts it and takes it.
 *
 * Doubtful is refused: the caller looks at what was refused again, byte by byte.
 *
 * The same pass takes notes for an index of the document where it is asked to (`../parts/notes.ts` has the words, and does it byte by
 * byte), or tells where the tokens of its upper levels are (`../mask/marks.ts`): it is compiled three times.
 */
import * as carry from './carries'
import * as words from './noted'

/** For each open container one byte: 1 where it stands in an object. A block may go 64 levels past either end. */
export const STACK: i32 = 1024
export const STACK_SIZE: i32 = 1024
/** For each open container `FRAME_SIZE` numbers, with room for 64 more before and behind. */
export const FRAMES: i32 = 4352
/** What notes are taken by: `RULES_SIZE` numbers. */
export const RULES: i32 = 39232
/** Those of the last call, `NOTE_SIZE` numbers each: at most three of each container that was open, and one for each of a call's bytes by the unit. */
export const NOTES: i32 = 39296
export const NOTES_SIZE: i32 = 196608
/** The eight bytes before it are those before the input. */
export const INPUT: i32 = 235968
export const INPUT_SIZE: i32 = 91712
/** What is to become of what the marks lead to, as `../mask/place-table.ts` writes it. */
export const TABLE: i32 = 327680
export const TABLE_SIZE: i32 = 131072
/** The containers that are open on the way: for each its place, and the index of its next element, -1 in an object. */
export const OPENED: i32 = 458752
export const OPENED_SIZE: i32 = 512
/** What comes in the place of the input, from the first byte that is replaced to the last one. */
export const OUTPUT: i32 = 459264
export const OUTPUT_SIZE: i32 = 131072
/** Bytes that must lie behind the last block: a literal is looked at whole. */
export const LOOK_AHEAD: i32 = 8

let depthAtEnd: i32 = 0
let deepestOfAll: i32 = 0

/** After the last call. */
export function depth(): i32 {
  return depthAtEnd
}
/** In the last call. */
export function deepest(): i32 {
  return deepestOfAll
}

let notesAtEnd: i32 = 0
/** In the last call. */
export function noted(): i32 {
  return notesAtEnd
}

/** Where the tokens lie that the last call has marked, in the place of notes: 16 bits each, of the input, in order. */
let marksEnd: usize = NOTES
let markedDepth: i32 = 0
let markedElements: i32 = 0
/** In the last call. */
export function marked(): i32 {
  return <i32>(marksEnd - <usize>NOTES) >> 1
}
let escapedKeys: u64 = 0
/** Whether a key has an escape in the last call. */
export function hasEscapedKeys(): bool {
  return escapedKeys != 0
}
@inline function isMarking<T>(): bool {
  return isInteger<T>() && !isSigned<T>()
}
@inline function mark(place: usize): void {
  store<u16>(marksEnd, <u16>(place - <usize>INPUT))
  marksEnd += 2
}
/** What divides the children of one container: the keys of an object, the commas of an array. */
@inline function markChildren(depth: i32, inObject: u64, keys: u64, commas: u64, at: usize): void {
  if (depth > markedDepth) return
  let tokens = inObject != 0 ? keys : ((markedElements >> (depth - 1)) & 1) != 0 ? commas : 0
  while (tokens != 0) {
    mark(at + <usize>ctz(tokens))
    tokens &= tokens - 1
  }
}

@inline function bits(a: v128, b: v128, c: v128, d: v128): u64 {
  return <u64>(<u32>(i8x16.bitmask(a) | (i8x16.bitmask(b) << 16))) | (<u64>(<u32>(i8x16.bitmask(c) | (i8x16.bitmask(d) << 16))) << 32)
}
@inline function equal(a: v128, b: v128, c: v128, d: v128, byte: v128): u64 {
  return bits(i8x16.eq(a, byte), i8x16.eq(b, byte), i8x16.eq(c, byte), i8x16.eq(d, byte))
}

/*
 * Vectors that are the same for all bytes lie in memory from 0 on. Written as constants, V8 makes each of them anew at each use, by
 * three instructions; what was read from memory it keeps.
 */
const QUOTE: usize = 0, BACKSLASH: usize = 16, LAST_CONTROL: usize = 32, CASE: usize = 48, OPENER: usize = 64, CLOSER: usize = 80
const COMMA: usize = 96, COLON: usize = 112, SPACE: usize = 128, NEWLINE: usize = 144, RETURN: usize = 160, TAB: usize = 176
const ZERO: usize = 192, NINE: usize = 208, MINUS: usize = 224, POINT: usize = 240, PLUS: usize = 256, LETTER_E: usize = 272
const LETTER_U: usize = 288, NIBBLE: usize = 304, LOWER_ESCAPE: usize = 320, UPPER_ESCAPE: usize = 336
const LOWER_HEX: usize = 352, UPPER_HEX: usize = 368
v128.store(QUOTE, i8x16.splat(0x22))
v128.store(BACKSLASH, i8x16.splat(0x5c))
v128.store(LAST_CONTROL, i8x16.splat(0x1f))
v128.store(CASE, i8x16.splat(0x20))
v128.store(OPENER, i8x16.splat(0x7b))
v128.store(CLOSER, i8x16.splat(0x7d))
v128.store(COMMA, i8x16.splat(0x2c))
v128.store(COLON, i8x16.splat(0x3a))
v128.store(SPACE, i8x16.splat(0x20))
v128.store(NEWLINE, i8x16.splat(0x0a))
v128.store(RETURN, i8x16.splat(0x0d))
v128.store(TAB, i8x16.splat(0x09))
v128.store(ZERO, i8x16.splat(0x30))
v128.store(NINE, i8x16.splat(9))
v128.store(MINUS, i8x16.splat(0x2d))
v128.store(POINT, i8x16.splat(0x2e))
v128.store(PLUS, i8x16.splat(0x2b))
v128.store(LETTER_E, i8x16.splat(0x65))
v128.store(LETTER_U, i8x16.splat(0x75))
v128.store(NIBBLE, i8x16.splat(15))
// A byte is in a class where the tables of its lower and of its upper half share a bit.
v128.store(LOWER_ESCAPE, i8x16(0, 0, 13, 0, 8, 8, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1))
v128.store(UPPER_ESCAPE, i8x16(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0))
v128.store(LOWER_HEX, i8x16(1, 3, 3, 3, 3, 3, 3, 1, 1, 1, 0, 0, 0, 0, 0, 0))
v128.store(UPPER_HEX, i8x16(0, 0, 0, 1, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0))

/** Not in the class of two tables: `"`, `/`, `\`, b, f, n, r, t and u may be escaped; hexadecimal digits. */
@inline function outside(a: v128, lower: v128, upper: v128, nibble: v128): v128 {
  const classes = v128.and(
    i8x16.swizzle(lower, v128.and(a, nibble)),
    i8x16.swizzle(upper, v128.and(i16x8.shr_u(a, 4), nibble)),
  )
  return i8x16.eq(classes, i8x16.splat(0))
}
@inline function allOutside(a: v128, b: v128, c: v128, d: v128, lowerTable: usize, upperTable: usize): u64 {
  const lower = v128.load(lowerTable), upper = v128.load(upperTable), nibble = v128.load(NIBBLE)
  return bits(
    outside(a, lower, upper, nibble),
    outside(b, lower, upper, nibble),
    outside(c, lower, upper, nibble),
    outside(d, lower, upper, nibble),
  )
}
/** `le_u` rather than `lt_u`: two instructions instead of four. */
@inline function digit(a: v128, zero: v128, nine: v128): v128 {
  return i8x16.le_u(i8x16.sub(a, zero), nine)
}
@inline function word(letters: u32): i32 {
  return letters == 0x65757274 ? carry.WORD_TRUE : letters == 0x6c6c756e ? carry.WORD_NULL : carry.WORD_FALSE
}
@inline function carried(carries: i32, bit: i32): u64 {
  return <u64>((carries & bit) != 0)
}

@inline function rule(which: i32): f64 {
  return load<f64>(RULES + (which << 3))
}
@inline function frameAt(depth: i32): usize {
  return <usize>(FRAMES + (depth << 5))
}
function note(kind: f64, depth: i32, start: f64, first: f64, second: f64, third: f64): void {
  const to: usize = <usize>(NOTES + notesAtEnd * (words.NOTE_SIZE << 3))
  store<f64>(to, kind)
  store<f64>(to, <f64>depth, 8)
  store<f64>(to, start, 16)
  store<f64>(to, first, 24)
  store<f64>(to, second, 32)
  store<f64>(to, third, 40)
  notesAtEnd++
}
@inline function sample(low: u32, high: u32, length: u32): u32 {
  let mixed: u32 = (low ^ (high * 0x85ebca6b) ^ (length * 0x9e3779b1)) * 0xc2b2ae35
  mixed = (mixed ^ (mixed >> 15)) * 0x2c1b3c6d
  return mixed ^ (mixed >> 13)
}
/**
 * Offset in the document of a place in the input. It is made where it is needed: numbers that are kept would take the registers of
 * vectors that are.
 */
@inline function offsetOf(at: usize): f64 {
  return rule(words.RULE_OFFSET) + <f64>(<i32>at - INPUT)
}
/** Commas of one container in a block, from where on a group may end. */
function noteGroups(depth: i32, commas: u64, at: usize): void {
  const frame = frameAt(depth - 1), start = load<f64>(frame), offset = offsetOf(at)
  const unit = rule(words.RULE_UNIT), smallest = rule(words.RULE_SMALLEST), largest = rule(words.RULE_LARGEST), chance = rule(words.RULE_CHANCE)
  let child = load<f64>(frame, 8), group = load<f64>(frame, 16), ordinal = load<f64>(frame, 24)
  while (commas != 0) {
    const place = <usize>ctz(commas), comma = offset + <f64>place, length = comma - child
    if (comma - group >= smallest) {
      if (length >= unit) {
        note(words.NOTE_CHILD, depth, start, child, comma, ordinal)
        group = comma + 1
      } else if (
        comma - group >= largest ||
        <f64>sample(load<u32>(at + place - 8), load<u32>(at + place - 4), <u32>length) < length * chance
      ) {
        note(words.NOTE_GROUP, depth, start, comma, ordinal + 1, 0)
        group = comma + 1
      }
    }
    child = comma + 1
    ordinal += 1
    commas &= commas - 1
  }
  store<f64>(frame, child, 8)
  store<f64>(frame, group, 16)
  store<f64>(frame, ordinal, 24)
}
/** Without a branch that nobody can foretell: commas come or do not. */
@inline function noteCommas(depth: i32, commas: u64, at: usize): void {
  const frame = frameAt(depth - 1), behind = offsetOf(at + 64 - <usize>clz(commas))
  if (behind > load<f64>(frame, 16) + rule(words.RULE_SMALLEST)) noteGroups(depth, commas, at)
  else {
    // As whole numbers: of floats, a choice is a branch.
    store<i64>(frame, select<i64>(reinterpret<i64>(behind), load<i64>(frame, 8), commas != 0), 8)
    store<f64>(frame, load<f64>(frame, 24) + <f64>(<i32>popcnt(commas)), 24)
  }
}
/** A frame for what opens there; for what closes, it is above those that are open. */
@inline function noteBracket(depth: i32, at: f64): void {
  const frame = frameAt(depth)
  store<f64>(frame, at)
  store<f64>(frame, at + 1, 8)
  store<f64>(frame, at + rule(words.RULE_FIRST), 16)
  store<f64>(frame, 0, 24)
}
function noteContainer(depth: i32, at: f64, isEmpty: bool): void {
  const frame = frameAt(depth - 1), start = load<f64>(frame), child = load<f64>(frame, 8), ordinal = load<f64>(frame, 24)
  if (depth <= 0) return
  if (at - child >= rule(words.RULE_UNIT)) note(words.NOTE_CHILD, depth, start, child, 0, ordinal)
  note(words.NOTE_CONTAINER, depth, start, at + 1, isEmpty ? 0 : ordinal + 1, 0)
}
function noteScalar(start: f64, end: f64): void {
  if (end - start >= rule(words.RULE_UNIT)) note(words.NOTE_SCALAR, 0, start, end, 0, 0)
}

/**
 * Scans `blocks` blocks of 64 bytes from INPUT on.
 * @param carries at the first byte, which is in no literal
 * @param open containers that are open, at most `maxDepth`, and that at most STACK_SIZE
 * @returns the carries after the last block; -1 where the bytes are refused
 */
export function scan(blocks: i32, carries: i32, open: i32, maxDepth: i32): i32 {
  return scanAs<i32>(blocks, carries, open, maxDepth)
}
/** The same, with notes: of less than a unit. */
export function scanNoting(blocks: i32, carries: i32, open: i32, maxDepth: i32): i32 {
  notesAtEnd = 0
  return scanAs<f64>(blocks, carries, open, maxDepth)
}
/**
 * With marks, of less than 2^16 bytes. Tokens are held to their order, and nothing is held to what tokens are made of. Marks are at the keys of objects that are
 * open at most at `depth`, at the commas of such arrays, where the bit of theirs is set in `elements` (the lowest is that of the first
 * level), and at the braces and brackets of containers up to one level below.
 */
export function scanMarking(blocks: i32, carries: i32, open: i32, maxDepth: i32, depth: i32, elements: i32): i32 {
  marksEnd = NOTES
  markedDepth = depth
  markedElements = elements
  escapedKeys = 0
  return scanAs<u32>(blocks, carries, open, maxDepth)
}

/** With notes where the type is that of a float, with marks where it has no sign. */
function scanAs<Noting>(blocks: i32, carries: i32, open: i32, maxDepth: i32): i32 {
  let kOpenComma = carried(carries, carry.AFTER_OPENER_OR_COMMA), kComma = carried(carries, carry.AFTER_COMMA)
  let kColon = carried(carries, carry.AFTER_COLON), kKey = carried(carries, carry.AFTER_KEY)
  let inString: u64 = 0 - carried(carries, carry.IN_STRING), kKeyString = carried(carries, carry.IN_KEY)
  let kBackslash = carried(carries, carry.AFTER_BACKSLASH), kHex: u64 = <u64>((carries >> carry.HEX_SHIFT) & 15)
  let kNumber = carried(carries, carry.IN_NUMBER), kSign = carried(carries, carry.AFTER_SIGN), kFirstSign = carried(carries, carry.AFTER_FIRST_SIGN)
  let kZero = carried(carries, carry.AFTER_LEADING_ZERO), kPoint = carried(carries, carry.AFTER_POINT), kE = carried(carries, carry.AFTER_E)
  let kFraction = carried(carries, carry.IN_FRACTION), kExponent = carried(carries, carry.IN_EXPONENT)
  let kExponentSign = carried(carries, carry.AFTER_EXPONENT_SIGN)
  let kScalar = kNumber, kLetters: u64 = 0, lastWord: u32 = 0
  let inObject = carried(carries, carry.IN_OBJECT), d = open, deep = open
  let bad: u64 = 0
  const unit = isFloat<Noting>() ? <i32>rule(words.RULE_UNIT) : 0
  // As a place in the input. What began long before began at least a unit before.
  const firstToken = isFloat<Noting>() ? INPUT + <i32>max<f64>(rule(words.RULE_TOKEN) - rule(words.RULE_OFFSET), -0x10000000) : 0
  let token = firstToken

  const end: usize = <usize>(INPUT + (blocks << 6))
  const quotes = v128.load(QUOTE), backslashes = v128.load(BACKSLASH), lastControl = v128.load(LAST_CONTROL)
  for (let at: usize = INPUT; at < end; at += 64) {
    const v0 = v128.load(at), v1 = v128.load(at, 16), v2 = v128.load(at, 32), v3 = v128.load(at, 48)

    // ---- strings
    const q0 = i8x16.eq(v0, quotes), q1 = i8x16.eq(v1, quotes), q2 = i8x16.eq(v2, quotes), q3 = i8x16.eq(v3, quotes)
    const b0 = i8x16.eq(v0, backslashes), b1 = i8x16.eq(v1, backslashes), b2 = i8x16.eq(v2, backslashes), b3 = i8x16.eq(v3, backslashes)
    const c0 = i8x16.le_u(v0, lastControl), c1 = i8x16.le_u(v1, lastControl), c2 = i8x16.le_u(v2, lastControl), c3 = i8x16.le_u(v3, lastControl)
    if ((inString & ~(kBackslash | kHex)) == 0xffffffffffffffff) {
      const low = v128.or(v128.or(v128.or(q0, b0), c0), v128.or(v128.or(q1, b1), c1))
      const high = v128.or(v128.or(v128.or(q2, b2), c2), v128.or(v128.or(q3, b3), c3))
      if (!v128.any_true(v128.or(low, high))) continue
    }
    const backslash = bits(b0, b1, b2, b3)
    let escaped: u64 = kBackslash
    if (backslash != 0) {
      // Every second one of a run escapes what follows it.
      const potential = backslash & ~kBackslash
      const code = (((potential << 1) | 0xaaaaaaaaaaaaaaaa) - potential) ^ 0xaaaaaaaaaaaaaaaa
      escaped = code ^ (backslash | kBackslash)
      kBackslash = (code & backslash) >> 63
    } else kBackslash = 0
    const quote = bits(q0, q1, q2, q3) & ~escaped
    const wasInString = inString != 0
    // From an opening quote up to the byte before the closing one.
    let inside = quote
    inside ^= inside << 1
    inside ^= inside << 2
    inside ^= inside << 4
    inside ^= inside << 8
    inside ^= inside << 16
    inside ^= inside << 32
    inside ^= inString
    inString = <u64>(<i64>inside >> 63)
    const out = ~inside
    const control = bits(c0, c1, c2, c3)
    if (!isMarking<Noting>()) bad |= control & inside
    if ((escaped | kHex) != 0) {
      if (!isMarking<Noting>()) bad |= escaped & allOutside(v0, v1, v2, v3, LOWER_ESCAPE, UPPER_ESCAPE)
      const u = escaped & equal(v0, v1, v2, v3, v128.load(LETTER_U))
      if ((u | kHex) != 0) {
        if (!isMarking<Noting>()) bad |= ((u << 1) | (u << 2) | (u << 3) | (u << 4) | kHex) & allOutside(v0, v1, v2, v3, LOWER_HEX, UPPER_HEX)
        kHex = (u >> 63) | (u >> 62) | (u >> 61) | (u >> 60)
      }
    }
    if ((out | quote) == 0) {
      if (isMarking<Noting>()) escapedKeys |= backslash & (0 - (kKeyString & inObject))
      continue
    }

    // ---- tokens
    // Both kinds of them differ in the bit in which the two cases of a letter do.
    const lowered = v128.load(CASE)
    const l0 = v128.or(v0, lowered), l1 = v128.or(v1, lowered), l2 = v128.or(v2, lowered), l3 = v128.or(v3, lowered)
    const openers = equal(l0, l1, l2, l3, v128.load(OPENER)) & out
    const closers = equal(l0, l1, l2, l3, v128.load(CLOSER)) & out
    const comma = equal(v0, v1, v2, v3, v128.load(COMMA)) & out
    const colon = equal(v0, v1, v2, v3, v128.load(COLON)) & out
    const between = control & out
    const gap = (equal(v0, v1, v2, v3, v128.load(SPACE)) & out) | between
    if (between != 0) {
      const other = between & ~equal(v0, v1, v2, v3, v128.load(NEWLINE))
      if (other != 0 && !isMarking<Noting>()) bad |= other & ~(equal(v0, v1, v2, v3, v128.load(RETURN)) | equal(v0, v1, v2, v3, v128.load(TAB)))
    }
    const opening = quote & inside
    const scalar = out & ~(quote | openers | closers | comma | colon | gap)
    const scalarStart = scalar & ~((scalar << 1) | kScalar)
    if (isFloat<Noting>()) {
      if (<i32>at + 64 - token >= unit) {
        const start = token == firstToken ? rule(words.RULE_TOKEN) : offsetOf(<usize>token)
        if (wasInString) noteScalar(start, offsetOf(at + <usize>ctz(quote) + 1))
        else if (kScalar != 0 && ~scalar != 0) noteScalar(start, offsetOf(at + <usize>ctz(~scalar)))
      }
      const tokens = opening | scalarStart
      token = select(<i32>at + 63 - <i32>clz(tokens), token, tokens != 0)
    }
    const value = openers | opening | scalarStart
    kScalar = scalar >> 63

    // ---- which token comes after which: moved on by one, then carried over the whitespace by an addition
    const openerOrComma = openers | comma
    let afterOpenComma = (openerOrComma << 1) | kOpenComma
    let afterComma = (comma << 1) | kComma
    let afterColon = (colon << 1) | kColon
    kOpenComma = openerOrComma >> 63
    kComma = comma >> 63
    kColon = colon >> 63
    if (gap != 0) {
      let sum = afterOpenComma + gap
      kOpenComma |= <u64>(sum < afterOpenComma)
      afterOpenComma = sum & ~gap
      sum = afterComma + gap
      kComma |= <u64>(sum < afterComma)
      afterComma = sum & ~gap
      sum = afterColon + gap
      kColon |= <u64>(sum < afterColon)
      afterColon = sum & ~gap
    }
    // The closing quotes of strings that stand where a key may.
    const key = (opening & afterOpenComma) | kKeyString, keySum = key + inside
    kKeyString = <u64>(keySum < key)
    const keyInside = inside & ~keySum
    const keyEnd = keySum & ~inside
    let afterKey = (keyEnd << 1) | kKey
    kKey = keyEnd >> 63
    if (gap != 0) {
      const sum = afterKey + gap
      kKey |= <u64>(sum < afterKey)
      afterKey = sum & ~gap
    }

    bad |= value & ~(afterOpenComma | afterColon)
    bad |= afterColon & ~value
    bad |= afterComma & closers
    bad |= afterOpenComma & ~(value | closers)
    bad |= colon & ~afterKey

    // ---- braces and brackets: up to each of them, itself included, all stands in one container
    let braces = openers | closers
    const keyStart = opening & afterOpenComma
    let seen: u64 = 0
    let objects: u64 = 0
    while (braces != 0) {
      const less = braces - 1
      const upTo = braces ^ less
      if (isFloat<Noting>()) noteCommas(d, comma & upTo & ~seen, at)
      if (isMarking<Noting>()) markChildren(d, inObject, keyStart & upTo & ~seen, comma & upTo & ~seen, at)
      objects |= upTo & ~seen & (0 - inObject)
      if (d == 0) bad |= upTo & (comma | (braces & (0 - braces) & closers))
      seen = upTo
      const byte = <u64>load<u8>(at + <usize>ctz(braces))
      // Both differ from their likes in one bit.
      const opens = (byte >> 1) & 1, curly = (byte >> 5) & 1
      bad |= (opens ^ 1) & (curly ^ inObject)
      if (isFloat<Noting>()) {
        const bracket = offsetOf(at + <usize>ctz(braces))
        noteBracket(d, bracket)
        if (<i32>(opens ^ 1) & <i32>(bracket - load<f64>(frameAt(d - 1)) >= rule(words.RULE_UNIT) - 1)) {
          noteContainer(d, bracket, (braces & (0 - braces) & afterOpenComma & ~afterComma) != 0)
        }
      }
      if (isMarking<Noting>() && d + <i32>opens <= markedDepth + 1) mark(at + <usize>ctz(braces))
      store<u8>(STACK + d, <u8>inObject)
      d += <i32>(opens << 1) - 1
      deep = max(deep, d)
      const around = <u64>load<u8>(STACK + d)
      inObject = select(curly, around, <bool>opens)
      braces &= less
    }
    if (d < 0 || deep > maxDepth) return -1
    if (isFloat<Noting>()) noteCommas(d, comma & ~seen, at)
    if (isMarking<Noting>()) markChildren(d, inObject, keyStart & ~seen, comma & ~seen, at)
    if (d == 0) bad |= ~seen & comma
    objects |= ~seen & (0 - inObject)
    if (isMarking<Noting>()) escapedKeys |= backslash & keyInside & objects
    bad |= objects & ((afterOpenComma & ~(opening | closers)) | (afterKey & ~colon))
    bad |= colon & ~objects

    // ---- literals and numbers
    // Where nothing is refused, they count for what they carry over.
    if (((isMarking<Noting>() ? scalar >> 63 : scalar) | kNumber | kLetters) != 0) {
      const zeros = v128.load(ZERO), nines = v128.load(NINE)
      const digits = bits(digit(v0, zeros, nines), digit(v1, zeros, nines), digit(v2, zeros, nines), digit(v3, zeros, nines)) & out
      let number = scalar, M: u64 = 0
      if (((scalar & ~digits) | kLetters) != 0) {
        M = equal(v0, v1, v2, v3, v128.load(MINUS)) & scalar
        let words = scalarStart & ~(digits | M)
        let literal = kLetters
        kLetters = 0
        while (words != 0) {
          const p = ctz(words)
          const w = load<u32>(at + <usize>p)
          const isFalse = <u64>(w == 0x736c6166) & <u64>(load<u8>(at + <usize>p, 4) == 0x65)
          if (!isMarking<Noting>()) bad |= <u64>((w == 0x65757274) | (w == 0x6c6c756e)) ^ isFalse ^ 1
          const letters: u64 = 15 | (isFalse << 4)
          literal |= letters << p
          kLetters = (letters >> 1) >> (63 - p)
          lastWord = w
          words &= words - 1
        }
        number &= ~literal
      }
      if ((number | kNumber) != 0) {
        // Digits, minus, point, e and plus.
        const D = digits & number
        M &= number
        const start = number & ~((number << 1) | kNumber)
        const firstSign = M & start
        const first = D & (start | (firstSign << 1) | kFirstSign)
        let P: u64 = 0, sign = M, E: u64 = 0
        let afterPoint = kPoint, afterE = kE, exponentSign: u64 = 0
        if ((number & ~(D | M)) != 0) {
          P = equal(v0, v1, v2, v3, v128.load(POINT)) & number
          afterPoint |= P << 1
          if ((number & ~(D | M | P)) != 0) {
            E = equal(l0, l1, l2, l3, v128.load(LETTER_E)) & number
            const L = equal(v0, v1, v2, v3, v128.load(PLUS)) & number
            afterE |= E << 1
            sign |= L
            if (!isMarking<Noting>()) bad |= number & ~(D | sign | P | E)
            if (!isMarking<Noting>()) bad |= L & ~afterE
          }
        }
        if (!isMarking<Noting>()) bad |= start & ~((D | M) & scalarStart)
        if (!isMarking<Noting>()) bad |= M & ~(start | afterE)
        if (!isMarking<Noting>()) bad |= (((sign << 1) | kSign) | afterPoint) & ~D
        // A zero that leads may not be followed by a digit.
        if (!isMarking<Noting>()) bad |= kZero & D
        kZero = 0
        if ((first & (D >> 1 | 0x8000000000000000)) != 0) {
          const zero = first & equal(v0, v1, v2, v3, zeros)
          if (!isMarking<Noting>()) bad |= (zero << 1) & D
          kZero = zero >> 63
        }
        // Digits of a fraction and of an exponent: the addition runs to the byte after them.
        if ((afterPoint | kFraction) != 0) {
          const y = afterPoint & D, t = y + D, ends = t + kFraction
          kFraction = <u64>(t < y) | <u64>(ends < t)
          if (!isMarking<Noting>()) bad |= ends & ~D & P
        }
        if ((afterE | kExponent | kExponentSign) != 0) {
          exponentSign = sign & afterE
          if (!isMarking<Noting>()) bad |= afterE & ~(D | sign)
          const y = (afterE | (exponentSign << 1) | kExponentSign) & D, t = y + D, ends = t + kExponent
          kExponent = <u64>(t < y) | <u64>(ends < t)
          if (!isMarking<Noting>()) bad |= ends & ~D & (P | E)
        }
        kE = E >> 63
        kPoint = P >> 63
        kSign = sign >> 63
        kFirstSign = firstSign >> 63
        kExponentSign = exponentSign >> 63
        kNumber = number >> 63
      }
    }
  }

  depthAtEnd = d
  deepestOfAll = deep
  if (isFloat<Noting>() && token != firstToken) store<f64>(RULES + (words.RULE_TOKEN << 3), offsetOf(<usize>token))
  if (bad != 0) return -1
  // In an array every string stands where a key may.
  kKey &= inObject
  kKeyString &= inObject
  return (
    (d == 0 ? 0 : inObject ? carry.IN_OBJECT : carry.IN_ARRAY) |
    <i32>(kOpenComma * carry.AFTER_OPENER_OR_COMMA | kComma * carry.AFTER_COMMA | kColon * carry.AFTER_COLON | kKey * carry.AFTER_KEY) |
    <i32>((inString & carry.IN_STRING) | kKeyString * carry.IN_KEY | kBackslash * carry.AFTER_BACKSLASH | (kHex << carry.HEX_SHIFT)) |
    <i32>(kNumber * carry.IN_NUMBER | kSign * carry.AFTER_SIGN | kFirstSign * carry.AFTER_FIRST_SIGN) |
    <i32>(kZero * carry.AFTER_LEADING_ZERO | kPoint * carry.AFTER_POINT | kE * carry.AFTER_E | kFraction * carry.IN_FRACTION) |
    <i32>(kExponent * carry.IN_EXPONENT | kExponentSign * carry.AFTER_EXPONENT_SIGN) |
    (kLetters != 0 ? (word(lastWord) << carry.WORD_SHIFT) | <i32>(kLetters << carry.LETTERS_SHIFT) : 0)
  )
}

/*
 * Masking, from mark to mark. A place of the table has `PLACE_SIZE` bytes:
 *
 * | at | what |
 * | --- | --- |
 * | 0 | 1 where the value is masked |
 * | 4 | the place of every key and index that has no name; -1 for none |
 * | 8, 12 | where the names begin, and where they end |
 * | 16 | a bit for each byte that a name begins with |
 *
 * and a name `NAME_SIZE`: where its bytes are, how many, its place, and the index that it is or -1.
 */
const PLACE_SIZE: i32 = 48
const NAME_SIZE: i32 = 16
/** The table begins with how long what stands for a value is, and its bytes. */
const REDACTED: usize = <usize>TABLE + 4
const PLACES: i32 = TABLE + 32

let walkedPlace: i32 = 0
let walkedOpened: i32 = 0
let hiddenCount: i32 = 0
let hiddenFrom: usize = INPUT
let hiddenTo: usize = INPUT
let outputEnd: usize = OUTPUT

/** After the last walk: the place of the value that comes next, how many containers are open, and how many values were replaced. */
export function placeAfter(): i32 {
  return walkedPlace
}
export function openedAfter(): i32 {
  return walkedOpened
}
export function hidden(): i32 {
  return hiddenCount
}
/** From where to where in the input the output stands, and how long it is. */
export function outputFrom(): i32 {
  return <i32>hiddenFrom - INPUT
}
export function outputTo(): i32 {
  return <i32>hiddenTo - INPUT
}
export function outputSize(): i32 {
  return <i32>outputEnd - OUTPUT
}

@inline function placeAt(place: i32): usize {
  return <usize>(PLACES + place * PLACE_SIZE)
}
@inline function isMasked(place: i32): bool {
  return place >= 0 && load<i32>(placeAt(place)) != 0
}
@inline function openedAt(which: i32): usize {
  return <usize>(OPENED + (which << 3))
}
@inline function markAt(which: i32): usize {
  return <usize>(INPUT + <i32>load<u16>(<usize>(NOTES + (which << 1))))
}
@inline function isBrace(byte: u32, brace: u32): bool {
  return (byte | 0x20) == brace
}
/** Where the key leads that begins there: no name has a quote in it, or a backslash. */
@inline function placeOfKey(place: usize, at: usize): i32 {
  const first = <usize>load<u8>(at)
  if (((load<u8>(place + 16 + (first >> 3)) >> <u8>(first & 7)) & 1) != 0) {
    const end = <usize>load<i32>(place, 12)
    for (let name = <usize>load<i32>(place, 8); name < end; name += NAME_SIZE) {
      const bytes = <usize>load<i32>(name), length = <usize>load<i32>(name, 4)
      if (load<u8>(at + length) != 0x22) continue
      let same: usize = 0
      while (same < length && load<u8>(bytes + same) == load<u8>(at + same)) same++
      if (same == length) return load<i32>(name, 8)
    }
  }
  return load<i32>(place, 4)
}
@inline function placeOfIndex(place: usize, index: i32): i32 {
  const end = <usize>load<i32>(place, 12)
  for (let name = <usize>load<i32>(place, 8); name < end; name += NAME_SIZE) {
    if (load<i32>(name, 12) == index) return load<i32>(name, 8)
  }
  return load<i32>(place, 4)
}
/** The mark that closes what opens at this one; the last one where none of those before it does. */
function closerOf(opener: i32, last: i32): i32 {
  let open = 1
  for (let next = opener + 1; next < last; next++) {
    const byte = <u32>load<u8>(markAt(next))
    if (isBrace(byte, 0x7b)) open++
    else if (isBrace(byte, 0x7d) && --open == 0) return next
  }
  return last
}
/** By 16 bytes, the last of which may be too many. */
@inline function copy(from: usize, to: usize): void {
  let at = outputEnd
  for (let byte = from; byte < to; byte += 16) {
    v128.store(at, v128.load(byte))
    at += 16
  }
  outputEnd += to - from
}
@inline function hide(from: usize, to: usize): void {
  if (hiddenCount++ == 0) hiddenFrom = from
  else copy(hiddenTo, from)
  v128.store(outputEnd, v128.load(REDACTED))
  outputEnd += <usize>load<i32>(TABLE)
  hiddenTo = to
}

/**
 * Goes from mark to mark of the last `scanMarking`, and replaces what begins and ends between them: nothing else that lies there is looked
 * at. It stops before the last mark, and before what takes more than marks.
 * @param mark the first of them
 * @param place of the value that comes next; -1 for none
 * @param opened containers in `OPENED`
 * @returns the mark where it has stopped
 */
export function walk(mark: i32, place: i32, opened: i32): i32 {
  // What ends a value is behind it.
  const last = marked() - 1
  let next = mark
  hiddenCount = 0
  outputEnd = OUTPUT
  hiddenTo = INPUT
  for (; next < last; next++) {
    const at = markAt(next), byte = <u32>load<u8>(at), around = openedAt(opened - 1)
    let behind = at + 1
    if (byte == 0x22) {
      if (escapedKeys != 0 || opened == 0) break
      place = placeOfKey(placeAt(load<i32>(around)), behind)
      if (!isMasked(place)) continue
      while (load<u8>(behind) != 0x22) behind++
      behind++
    } else if (byte == 0x2c) {
      if (opened == 0) break
      const index = load<i32>(around, 4) + 1
      store<i32>(around, index, 4)
      place = placeOfIndex(placeAt(load<i32>(around)), index)
      if (!isMasked(place)) continue
    } else if (isBrace(byte, 0x7d)) {
      if (opened == 0) break
      opened--
      continue
    } else if (place < 0) {
      const closer = closerOf(next, last)
      if (closer == last) break
      next = closer
      continue
    } else if (isMasked(place)) break
    else {
      const isObject = byte == 0x7b, opening = openedAt(opened++)
      store<i32>(opening, place)
      store<i32>(opening, isObject ? -1 : 0, 4)
      if (isObject) continue
      place = placeOfIndex(placeAt(place), 0)
      if (!isMasked(place)) continue
    }

    // ---- a value that is masked: what it is lies between this mark and the next, or begins there
    let begin = behind
    while (load<u8>(begin) <= 0x20 || load<u8>(begin) == 0x3a) begin++
    let end = markAt(next + 1), closer = next
    if (begin == end && isBrace(<u32>load<u8>(end), 0x7b)) {
      closer = closerOf(next + 1, last)
      end = markAt(closer) + 1
    } else if (load<u8>(begin) == 0x5d) {
      // An array without an element.
      continue
    } else {
      while (end > begin && (load<u8>(end - 1) <= 0x20 || load<u8>(end - 1) == 0x2c)) end--
    }
    const kept = hiddenCount == 0 ? 0 : <i32>(begin - hiddenTo)
    if (closer == last || <i32>outputEnd + kept + 32 > OUTPUT + OUTPUT_SIZE) {
      // Looked at once more, byte by byte.
      if (byte == 0x2c) store<i32>(around, load<i32>(around, 4) - 1, 4)
      else if (byte != 0x22) place = load<i32>(openedAt(--opened))
      break
    }
    hide(begin, end)
    next = closer
  }
  walkedPlace = place
  walkedOpened = opened
  return next
}
