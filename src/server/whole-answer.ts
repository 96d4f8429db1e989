import { buffer } from 'node:stream/consumers'
import type { ExecutionResult } from 'graphql'
import { AppError } from '../errors.ts'
import { isLazy, type LazyJson } from '../graphql/raw-json.ts'
import { type AnswerOptions, type Opened, openOne, render } from './answer.ts'

/** As much as one event may hold. */
const EVENT_MAX_BYTES = 4_194_304

const LINE_FEED = 10
const CARRIAGE_RETURN = 13
const BLANK = 32

/**
 * One GraphQL answer at hand, for those who can only take all of it at once. A payload that makes it larger than 4 MiB is null, with an
 * error at its path.
 * @returns JSON in one line: where a payload breaks its own, it has a blank, which means the same.
 */
export async function wholeAnswer(result: ExecutionResult, maskError: AnswerOptions['maskError']): Promise<Buffer> {
  const { segments, tail } = render(result)
  const parts: Buffer[] = []
  const late: object[] = []
  let left = EVENT_MAX_BYTES
  for (const segment of segments) {
    const opened = isLazy(segment) ? await openOne(within(segment, left), maskError) : undefined
    if (opened && 'failure' in opened) late.push(opened.failure)
    const part = opened ? await readAll(opened) : Buffer.from(segment as string | Buffer)
    left -= part.length
    parts.push(part)
  }
  return inOneLine(Buffer.concat([...parts, Buffer.from(tail(late))]))
}

/** What it opens is no larger. */
function within(source: LazyJson, maxBytes: number): LazyJson {
  return {
    ...source,
    async open() {
      const opened = await source.open()
      if (opened.sizeBytes <= maxBytes) return opened
      if (!Buffer.isBuffer(opened.body)) opened.body.destroy()
      opened.release()
      throw new AppError('PAYLOAD_TOO_LARGE', `An event has room for ${EVENT_MAX_BYTES} bytes: ask for JSON`)
    },
  }
}

async function readAll(opened: Opened): Promise<Buffer> {
  if ('failure' in opened) return Buffer.from('null')
  try {
    return Buffer.isBuffer(opened.body) ? opened.body : await buffer(opened.body)
  } finally {
    opened.release()
  }
}

/** Between two values any blank is as good as another, and nowhere else may JSON have a line break. */
function inOneLine(json: Buffer): Buffer {
  for (const lineBreak of [LINE_FEED, CARRIAGE_RETURN]) {
    for (let at = json.indexOf(lineBreak); at !== -1; at = json.indexOf(lineBreak, at + 1)) json[at] = BLANK
  }
  return json
}
