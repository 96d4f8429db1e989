import { createReadStream } from 'node:fs'
import { buffer } from 'node:stream/consumers'

/*
 * What a reader does who has the whole state: `node walk.ts <url or path> <index>` reads it, parses it, and prints one message of it.
 */
const [, , source = '', index = '0'] = process.argv
const bytes = source.startsWith('http')
  ? Buffer.from(await (await fetch(source)).arrayBuffer())
  : await buffer(createReadStream(source))
const state = JSON.parse(bytes.toString('utf8')) as { readonly messages: readonly unknown[] }
process.stdout.write(JSON.stringify(state.messages[Number(index)]))
