import type { Disposition, DownloadTicket, LinkRequest } from '../../snapshots/links.ts'
import { builder } from '../builder.ts'
import { costing, PARTS } from '../cost.ts'
import { HttpHeaderRef } from './common.ts'
import { SnapshotRef } from './snapshot.ts'

const DEFAULT_SECONDS = 3600
const DEFAULT_DISPOSITION: Disposition = 'ATTACHMENT'

interface LinkArgs {
  readonly expiresIn?: number | null
  readonly disposition?: Disposition | null
  readonly filename?: string | null
}

function linkOf({ expiresIn, disposition, filename }: LinkArgs): LinkRequest {
  return {
    expiresInSeconds: expiresIn ?? DEFAULT_SECONDS,
    disposition: disposition ?? DEFAULT_DISPOSITION,
    filename,
  }
}

const DispositionRef = builder.enumType('Disposition', {
  description: 'What a browser does with a download.',
  values: {
    ATTACHMENT: { description: 'Saves it.' },
    INLINE: { description: 'Shows it.' },
  } satisfies Record<Disposition, object>,
})

const DownloadTicketRef = builder.objectRef<DownloadTicket>('DownloadTicket').implement({
  description: 'A request that gives the payload to anyone who sends it, until it expires.',
  fields: (t) => ({
    url: t.expose('url', { type: 'URL', description: 'Where to ask.' }),
    method: t.exposeString('method', { description: 'How to ask: GET.' }),
    headers: t.field({
      type: [HttpHeaderRef],
      description: 'To be sent along.',
      extensions: costing(PARTS),
      resolve: ({ headers }) => [...headers],
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'When it ends: never later than asked, earlier where the credentials of the store end earlier.',
      resolve: ({ expiresAt }) => expiresAt.toISOString(),
    }),
    direct: t.exposeBoolean('direct', {
      description: 'Whether the bytes come from the store itself and not by way of this server.',
    }),
    filename: t.exposeString('filename', { description: 'Name to save it under, safe on every file system.' }),
    sizeBytes: t.expose('sizeBytes', {
      type: 'BigInt',
      nullable: true,
      description: 'Of the payload, in bytes; null where only reading it tells.',
    }),
    digest: t.exposeString('digest', {
      nullable: true,
      description: "`sha256:<64 hex>` of the payload's bytes; null where nobody knows one of just those.",
    }),
    contentType: t.exposeString('contentType', { description: 'Media type of the answer.' }),
    contentEncoding: t.exposeString('contentEncoding', {
      description: 'How the bytes are encoded where the client accepts no coding: `identity`.',
    }),
  }),
})

builder.objectFields(SnapshotRef, (t) => {
  const linkArgs = {
    expiresIn: t.arg.int({
      defaultValue: DEFAULT_SECONDS,
      description: 'Seconds, from 1 to a limit that the server sets: a day unless told.',
    }),
    disposition: t.arg({
      type: DispositionRef,
      defaultValue: DEFAULT_DISPOSITION,
      description: 'Save or show.',
    }),
    filename: t.arg.string({
      description: 'Name to save it under, made safe; made from the step where it is left out.',
    }),
  }
  return {
    signedUrl: t.field({
      type: 'URL',
      nullable: true,
      description: 'A URL that anyone who holds it can GET until it expires. Null for an inline payload.',
      args: linkArgs,
      resolve: async (snapshot, args, { links, viewer }) =>
        (await links.sign(snapshot, linkOf(args), viewer))?.url ?? null,
    }),
    download: t.field({
      type: DownloadTicketRef,
      nullable: true,
      description: 'The same for every tier, with what a downloader needs to know. Null when none can be made.',
      args: linkArgs,
      resolve: (snapshot, args, { links, viewer }) => links.ticket(snapshot, linkOf(args), viewer),
    }),
  }
})
