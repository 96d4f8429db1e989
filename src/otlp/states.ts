import { createJsonScanner } from '../json/scanner.ts'
import type { Attribute, Span, Value } from './span.ts'

/** What a span says of what went in and came out, as JSON; null where it says nothing. */
export interface SpanStates {
  readonly input: Buffer | null
  readonly output: Buffer | null
  /** All other attributes, as JSON of at most 64 KiB: what has no room is left out, and counted. */
  readonly rest: string
}

/**
 * Names of attributes that carry what went in: those of the semantic conventions for generative AI, and those that OpenInference, OpenLLMetry and
 * the AI SDK use; a dot at the end stands for all below it.
 */
const INPUTS: readonly string[] = [
  'gen_ai.input.messages',
  'gen_ai.system_instructions',
  'gen_ai.tool.definitions',
  'gen_ai.tool.call.arguments',
  'gen_ai.prompt',
  'gen_ai.prompt.',
  'input.value',
  'llm.input_messages.',
  'llm.prompts',
  'traceloop.entity.input',
  'ai.prompt',
  'ai.prompt.',
  'ai.toolCall.args',
]
const OUTPUTS: readonly string[] = [
  'gen_ai.output.messages',
  'gen_ai.tool.call.result',
  'gen_ai.completion',
  'gen_ai.completion.',
  'output.value',
  'llm.output_messages.',
  'traceloop.entity.output',
  'ai.response.text',
  'ai.response.object',
  'ai.response.toolCalls',
  'ai.toolCall.result',
]
const INPUT_EVENTS: ReadonlySet<string> = new Set([
  'gen_ai.content.prompt',
  'gen_ai.system.message',
  'gen_ai.user.message',
  'gen_ai.assistant.message',
  'gen_ai.tool.message',
])
const OUTPUT_EVENTS: ReadonlySet<string> = new Set(['gen_ai.content.completion', 'gen_ai.choice'])
/** Its attributes are those of the span, told later. */
const DETAILS = 'gen_ai.client.inference.operation.details'

const REST_MAX_BYTES = 60_000

export function statesOf(span: Span): SpanStates {
  const details = span.events.filter(({ name }) => name === DETAILS).flatMap(({ attributes }) => attributes)
  const told = [...span.attributes, ...details]
  const isInput = (key: string) => isAmong(INPUTS, key)
  const isOutput = (key: string) => isAmong(OUTPUTS, key)
  return {
    input: stateOf(told, isInput, messagesOf(span, INPUT_EVENTS)),
    output: stateOf(told, isOutput, messagesOf(span, OUTPUT_EVENTS)),
    rest: restOf(
      span,
      told.filter(({ key }) => !isInput(key) && !isOutput(key)),
    ),
  }
}

function isAmong(names: readonly string[], key: string): boolean {
  return names.some((name) => (name.endsWith('.') ? key.startsWith(name) : key === name))
}

/** In the order in which they came. */
function messagesOf({ events }: Span, names: ReadonlySet<string>): readonly Value[] {
  return events
    .filter(({ name }) => names.has(name))
    .map(({ name, attributes }) => ({ members: [{ key: 'event', value: { text: Buffer.from(name) } }, ...attributes] }))
}

/** An object with a member for each attribute, by its name, and the messages that came as events. */
function stateOf(
  attributes: readonly Attribute[],
  isOfIt: (key: string) => boolean,
  messages: readonly Value[],
): Buffer | null {
  const members = attributes.filter(({ key }) => isOfIt(key))
  if (messages.length > 0) members.push({ key: 'messages', value: { items: messages } })
  if (members.length === 0) return null
  const parts: Buffer[] = []
  members.forEach(({ key, value }, i) => {
    parts.push(Buffer.from(`${i === 0 ? '{' : ','}${JSON.stringify(key.toWellFormed())}:`), documentOf(value))
  })
  return Buffer.concat([...parts, Buffer.from('}')])
}

/** Of a text that is a JSON document itself, as most of these are, its bytes. */
function documentOf(value: Value): Buffer {
  const isText = value !== null && typeof value === 'object' && 'text' in value
  if (isText && /^\s*[[{"]/.test(value.text.toString('latin1', 0, 64)) && isJson(value.text)) return value.text
  return Buffer.from(jsonOf(value))
}

function isJson(text: Buffer): boolean {
  try {
    // Within an object of ours there is room for so much less.
    const scanner = createJsonScanner({ maxDepth: 500 })
    scanner.write(text)
    scanner.end()
    return true
  } catch {
    return false
  }
}

function jsonOf(value: Value): string {
  if (typeof value === 'bigint') return String(value)
  // JSON has no such numbers.
  if (typeof value === 'number') return Number.isFinite(value) ? JSON.stringify(value) : `"${value}"`
  if (value === null || typeof value === 'boolean') return String(value)
  if ('text' in value) return JSON.stringify(value.text.toString().toWellFormed())
  if ('bytes' in value) return JSON.stringify(value.bytes.toString('base64'))
  if ('items' in value) return `[${value.items.map(jsonOf).join(',')}]`
  return `{${value.members.map(memberOf).join(',')}}`
}

function memberOf({ key, value }: Attribute): string {
  return `${JSON.stringify(key.toWellFormed())}:${jsonOf(value)}`
}

function restOf({ parentSpanId, kind, resource }: Span, attributes: readonly Attribute[]): string {
  const own = { parentSpanId: parentSpanId || null, kind }
  let left = REST_MAX_BYTES
  let omitted = 0
  const fitting = (found: readonly Attribute[]) =>
    found.filter((attribute) => {
      const size = Buffer.byteLength(memberOf(attribute)) + 1
      const fits = size <= left
      if (fits) left -= size
      else omitted++
      return fits
    })
  const shown = fitting(attributes)
  const of = fitting(resource)
  const more = omitted === 0 ? '' : `,"omitted":${omitted}`
  return `${JSON.stringify(own).slice(0, -1)},"attributes":${jsonOf({ members: shown })},"resource":${jsonOf({ members: of })}${more}}`
}
