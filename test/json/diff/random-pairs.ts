import { createRandom } from '../../support/random.ts'

export interface RandomPair {
  readonly from: Buffer
  readonly to: Buffer
  /** Whether it was edited, and whether it was written in another way. */
  readonly kinds: readonly string[]
}

type Node =
  | { kind: 'object'; members: [string, Node][] }
  | { kind: 'array'; items: Node[] }
  | { kind: 'string'; text: string }
  | { kind: 'number'; digits: string; power: number }
  | { kind: 'literal'; text: string }

/** How a text is written that says the same. */
interface Style {
  readonly gaps: boolean
  readonly escapes: boolean
  readonly numbers: boolean
  readonly order: boolean
  readonly duplicates: boolean
}

const PLAIN: Style = { gaps: false, escapes: false, numbers: false, order: false, duplicates: false }
const KEYS = [
  'id',
  'name',
  'a',
  'b',
  'a/b',
  '~',
  '',
  '0',
  '__proto__',
  'constructor',
  'é',
  '\ud800',
  'run_id',
  'x'.repeat(90),
]

export interface PairOptions {
  /** Whether an object may have equal keys; default true. */
  readonly duplicates?: boolean
}

/** A document and another that was made of it by edits, or only written in another way. The same for the same seed. */
export function randomPair(seed: number, { duplicates = true }: PairOptions = {}): RandomPair {
  const random = createRandom(seed)
  const upTo = (limit: number) => Math.floor(random() * limit)
  const pick = <T>(choices: readonly T[]) => choices[upTo(choices.length)] as T
  const chance = (one: number) => upTo(one) === 0
  const times = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i))

  const text = () =>
    pick([
      () => pick(['', 'a', 'b', 'é', '\ud83d\ude00', '\udc00', '"', '\\', '/', '\n', '\u2028', '\u007f', '[1,', '{"']),
      () => 'word '.repeat(upTo(20)),
      () => 'long'.repeat(upTo(100)),
      () => String(upTo(1000)),
    ])()
  const scalar = (): Node => {
    const kind = upTo(6)
    if (kind < 2) return { kind: 'string', text: text() }
    if (kind === 5) return { kind: 'literal', text: pick(['true', 'false', 'null']) }
    const digits =
      pick(['', '', '-']) +
      pick(['0', '1', '12', '9007199254740993', String(1 + upTo(500)), `7${'3'.repeat(upTo(60))}1`])
    return { kind: 'number', digits, power: chance(3) ? pick([-2, -1, 1, 3, 30]) : 0 }
  }
  const value = (depth: number): Node => {
    const kind = upTo(depth > 5 ? 2 : 6)
    if (kind < 2) return scalar()
    if (kind === 2) return { kind: 'array', items: times(upTo(8), () => value(depth + 1)) }
    if (kind === 3) return { kind: 'object', members: unique(times(upTo(8), () => [pick(KEYS), value(depth + 1)])) }
    return pick([records, numbers, flat, nested])()
  }
  const record = (i: number): Node => ({
    kind: 'object',
    members: [
      ['id', { kind: 'string', text: `m${i}` }],
      ['content', { kind: 'string', text: `${text()} ${i}` }],
      [
        'meta',
        {
          kind: 'object',
          members: [
            ['tokens', scalar()],
            ['tags', { kind: 'array', items: times(upTo(3), scalar) }],
          ],
        },
      ],
    ],
  })
  const records = (): Node => ({ kind: 'array', items: times(upTo(40), record) })
  const numbers = (): Node => ({
    kind: 'array',
    items: times(upTo(300), (i) => ({ kind: 'number', digits: String(chance(2) ? i : upTo(9)), power: 0 })),
  })
  const flat = (): Node => ({ kind: 'object', members: times(upTo(120), (i) => [`key${i}`, scalar()]) })
  const nested = (): Node =>
    times(upTo(60), () => upTo(2)).reduce<Node>(
      (inner, isArray) =>
        isArray
          ? { kind: 'array', items: chance(6) ? [scalar(), inner, scalar()] : [inner] }
          : { kind: 'object', members: [['k', inner], ...(chance(6) ? [['z', scalar()] as [string, Node]] : [])] },
      records(),
    )

  const containers = (node: Node, found: Node[] = []): Node[] => {
    if (node.kind === 'array' || node.kind === 'object') found.push(node)
    for (const child of childrenOf(node)) containers(child, found)
    return found
  }

  function edit(root: Node): Node {
    const all = containers(root)
    if (all.length === 0 || chance(60)) return value(0)
    const at = pick(all)
    if (at.kind === 'array') editArray(at.items)
    else if (at.kind === 'object') editObject(at)
    return root
  }

  function editArray(items: Node[]): void {
    const [i, j] = [upTo(items.length + 1), upTo(items.length + 1)]
    pick([
      () => items.splice(i, 0, value(4)),
      () => items.splice(0, 0, scalar()),
      () => items.splice(i, 1),
      () => items.splice(i, upTo(10)),
      () => items.splice(i, 1, value(4)),
      () => items.push(...times(1 + upTo(6), (n) => record(1000 + upTo(50) + n))),
      () => items.splice(j, 0, ...items.splice(i, 1)),
      () => items.splice(j, 0, ...items.splice(i, upTo(20))),
      () => items.reverse(),
      () => items.sort(() => random() - 0.5),
      () => items.push(...structuredClone(items.slice(i))),
      () => items.splice(0, items.length),
    ])()
  }

  function editObject(at: Node & { kind: 'object' }): void {
    const { members } = at
    const i = upTo(members.length)
    const name = () => pick([...KEYS, `new${upTo(20)}`])
    pick([
      () => members.push([name(), value(4)]),
      () => members.unshift([name(), scalar()]),
      () => members.splice(i, 1),
      () => members[i] && members.splice(i, 1, [members[i][0], value(4)]),
      () => members[i] && members.splice(i, 1, [name(), members[i][1]]),
      () => members.reverse(),
    ])()
    at.members = unique(members)
  }

  function write(node: Node, style: Style): string {
    const gap = () => (style.gaps ? pick(['', '', ' ', '\n', '\t', '\r\n    ', ' '.repeat(upTo(150))]) : '')
    if (node.kind === 'literal') return node.text
    if (node.kind === 'string') return writeString(node.text, style)
    if (node.kind === 'number') return writeNumber(node, style)
    if (node.kind === 'array')
      return `[${node.items.map((item) => gap() + write(item, style) + gap()).join(',') || gap()}]`
    const members = style.order ? node.members.toSorted(() => random() - 0.5) : node.members
    const old = style.duplicates && chance(3) ? members.slice(0, 2).map(([key]) => [key, scalar()] as const) : []
    const texts = [...old, ...members].map(
      ([key, item]) => `${gap()}${writeString(key, style)}${gap()}:${gap()}${write(item, style)}${gap()}`,
    )
    return `{${texts.join(',') || gap()}}`
  }

  function writeString(from: string, { escapes }: Style): string {
    if (!escapes || chance(2)) return JSON.stringify(from)
    const unit = (code: number) => `\\u${code.toString(16).padStart(4, '0')}`
    return `"${from
      .split('')
      .map((one) =>
        chance(3) ? unit(one.charCodeAt(0)) : isHalf(one) ? unit(one.charCodeAt(0)) : JSON.stringify(one).slice(1, -1),
      )
      .join('')}"`
  }

  function writeNumber({ digits, power }: Node & { kind: 'number' }, { numbers: free }: Style): string {
    const plain = power === 0 ? digits : `${digits}e${power}`
    if (!free) return plain
    const zeros = upTo(3)
    return pick([
      () => plain,
      () => `${digits}.${'0'.repeat(1 + zeros)}${pick(['e', 'E'])}${pick(['', power < 0 ? '' : '+'])}${power}`,
      () => (/^-?0$/.test(digits) ? '-0' : `${digits}${'0'.repeat(zeros)}e${power - zeros}`),
      () =>
        digits.length > 2 && !digits.startsWith('-')
          ? `${digits.slice(0, 1)}.${digits.slice(1)}e${power + digits.length - 1}`
          : plain,
    ])()
  }

  const root = pick([
    () => value(0),
    records,
    flat,
    () =>
      ({
        kind: 'object',
        members: [
          ['run', scalar()],
          ['messages', records()],
          ['n', numbers()],
          ['total', scalar()],
        ],
      }) as Node,
  ])()
  let changed = structuredClone(root)
  const edits = chance(5) ? 0 : chance(3) ? 1 + upTo(12) : 1 + upTo(2)
  for (let count = 0; count < edits; count++) changed = edit(changed)
  const style = (): Style => ({
    gaps: chance(2),
    escapes: chance(2),
    numbers: chance(2),
    order: chance(3),
    duplicates: duplicates && chance(3),
  })
  const isPlain = chance(2)
  const styles = isPlain ? [PLAIN, PLAIN] : [style(), style()]
  return {
    from: Buffer.from(write(root, styles[0] ?? PLAIN)),
    to: Buffer.from(write(changed, styles[1] ?? PLAIN)),
    kinds: [edits === 0 ? 'same' : 'edited', isPlain ? 'plain' : 'restyled'],
  }
}

function childrenOf(node: Node): Node[] {
  if (node.kind === 'array') return node.items
  return node.kind === 'object' ? node.members.map(([, child]) => child) : []
}

function unique(members: [string, Node][]): [string, Node][] {
  return [...new Map(members)]
}

const isHalf = (unit: string) => !unit.isWellFormed()
