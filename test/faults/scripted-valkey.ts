import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'

export interface ScriptedValkey extends AsyncDisposable {
  readonly url: string
  /** What it says to each command but those by which a client makes itself known. */
  reply: string
  /** Commands that were answered so. */
  asked: number
}

/** As much of the protocol of Valkey as a client needs to connect: for replies that a real server gives seldom. */
export async function startScriptedValkey(): Promise<ScriptedValkey> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      for (let next = takeCommand(text); next; next = takeCommand(text)) {
        text = next.rest
        socket.write(answerTo(next.name))
      }
    })
  })

  function answerTo(name: string): string {
    if (name === 'info') return bulk('redis_version:7.2.0\r\nloading:0\r\n')
    if (['client', 'auth', 'select', 'hello'].includes(name)) return '+OK\r\n'
    valkey.asked += 1
    return `${valkey.reply}\r\n`
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const valkey: ScriptedValkey = {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    reply: '+OK',
    asked: 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return valkey
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`
}

/** The first command of what has come; undefined while it is not whole. */
function takeCommand(text: string): { readonly name: string; readonly rest: string } | undefined {
  const [head = '', count] = /^\*(\d+)\r\n/.exec(text) ?? []
  let at = head.length
  const words: string[] = []
  for (let left = Number(count ?? 0); left > 0; left--) {
    const [size = '', length] = /^\$(\d+)\r\n/.exec(text.slice(at, at + 20)) ?? []
    const end = at + size.length + Number(length)
    if (size === '' || text.length < end + 2) return undefined
    words.push(text.slice(at + size.length, end))
    at = end + 2
  }
  return words[0] === undefined ? undefined : { name: words[0].toLowerCase(), rest: text.slice(at) }
}
