export interface DemoStateOptions {
  /** Names what its documents are of: the same name has the same ones. */
  readonly topic: string
  /** All steps that the run means to take, and how many of them are done. */
  readonly plan: readonly string[]
  readonly done: number
  /** About this many bytes. */
  readonly sizeBytes: number
  /** How often a few of its documents have been looked at again; default 0. */
  readonly edition?: number
  /** What a run has that another one of its topic has otherwise; default none. */
  readonly note?: string
}

/**
 * What an agent remembers: from one step to the next it grows a little and changes a little, and is filled with documents up to its
 * size. The same call gives the same bytes.
 */
export function demoState({ topic, plan, done, sizeBytes, edition = 0, note }: DemoStateOptions): Buffer {
  const step = plan[done - 1] ?? ''
  const parts = [
    `{"step":${JSON.stringify(step)},"model":{"name":"digest-small","temperature":0.20,"seed":9007199254740993},`,
    `\n"budget":{"tokens_used":${done * 1731 + edition * 40},"tokens_limit":200000,"usd":${(done * 0.0213).toFixed(4)}},`,
    note === undefined ? '' : `\n"note":${JSON.stringify(note)},`,
    `\n"plan":[${plan.map((name, index) => planItem(name, index < done)).join(',')}],`,
    `\n"messages":[${messagesOf(topic, plan.slice(0, done)).join(',')}\n],`,
    `\n"draft":${JSON.stringify(done > 2 ? draftOf(topic, done + edition) : '')},`,
    '\n"documents":[',
  ]
  let size = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0)
  for (let id = 1; id === 1 || size < sizeBytes - 200; id++) {
    const document = documentOf(id, { hasRoom: sizeBytes - size > 1000, edition })
    parts.push(id > 1 ? `,${document}` : document)
    size += Buffer.byteLength(document) + 1
  }
  parts.push('\n]}\n')
  return Buffer.from(parts.join(''))
}

const SENTENCES = [
  'The parcel arrived two days late.',
  'The invoice shows a second charge of 19.90 €.',
  'The customer asks for a refund.',
  'An agent replied within the hour.',
  'The order was placed again by mistake.',
  'Delivery to Zürich was promised for Friday.',
  'The café at the corner keeps parcels for neighbours.',
  'Tracking has shown no movement since Tuesday …',
  'The address on the label is the old one.',
  'She would rather have the blue one.',
  'The discount code was not taken.',
  'A replacement is on its way.',
]

const planItem = (name: string, isDone: boolean) => `{"step":${JSON.stringify(name)},"done":${isDone}}`

/** What was said so far; a tool is called with JSON in a string, as models do. */
function messagesOf(topic: string, steps: readonly string[]): readonly string[] {
  return steps.flatMap((step, index) => {
    const random = createRandom(`${topic} ${step}`)
    const call = JSON.stringify({
      query: 'late or charged twice',
      limit: 20 + index,
      filters: { open: true, tags: ['late'] },
    })
    const tool = `{"name":${JSON.stringify(step)},"arguments":${JSON.stringify(call)}}`
    return [
      `\n{"role":"assistant","content":${JSON.stringify(textOf(random, 2))},"tool":${tool}}`,
      `\n{"role":"tool","content":${JSON.stringify(textOf(random, 3))},"tokens":${Math.floor(random() * 900)}}`,
    ]
  })
}

/** The same text each time, of which every step writes a few words anew. */
function draftOf(topic: string, done: number): string {
  const words = textOf(createRandom(`${topic} draft`), 14).split(' ')
  return words.map((word, index) => (index % 31 === done % 31 ? `${word} (checked ${done} times)` : word)).join(' ')
}

/** A few that documents are made of, each made once: there are tens of thousands. */
const BODIES = Array.from({ length: 509 }, (_, index) => bodyOf(createRandom(`body ${index}`)))

function bodyOf(random: () => number): string {
  const vector = Array.from({ length: 24 }, () => (random() * 2 - 1).toFixed(6)).join(',')
  return `"text":${JSON.stringify(textOf(random, 5))},"vector":[${vector}]`
}

function documentOf(id: number, { hasRoom, edition }: { readonly hasRoom: boolean; readonly edition: number }): string {
  const score = id % 9973 === 7 ? (edition + 1) / 10 : 0.5
  const body = hasRoom ? BODIES[id % BODIES.length] : '"text":"The customer asks for a refund."'
  return `\n{"id":"doc-${id}","score":${score},${body}}`
}

function textOf(random: () => number, sentences: number): string {
  return Array.from({ length: sentences }, () => SENTENCES[Math.floor(random() * SENTENCES.length)]).join(' ')
}

/** Numbers from 0 to 1 that follow from a name alone (mulberry32). */
function createRandom(name: string): () => number {
  let state = [...name].reduce((sum, character) => (Math.imul(sum, 31) + (character.codePointAt(0) ?? 0)) | 0, 7)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
