import { DISPOSITIONS, type DownloadTicket } from '../../snapshots/links.ts'
import { builder } from '../builder.ts'
import { costing, PARTS } from '../cost.ts'
import { HttpHeaderRef } from './common.ts'
import { SnapshotRef } from './snapshot.ts'

const DispositionRef = builder.enumType('Disposition', {
  description: 'What a browser does with a download.',
  values: DISPOSITIONS,
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
      required: true,
      defaultValue: 3600,
      description: 'Seconds, from 1 to a limit that the server sets: a day unless told.',
    }),
    disposition: t.arg({
      type: DispositionRef,
      required: true,
      defaultValue: 'ATTACHMENT',
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
      resolve: async (snapshot, { expiresIn, ...options }, { links }) =>
        (await links.sign(snapshot, { expiresInSeconds: expiresIn, ...options }))?.url ?? null,
    }),
    download: t.field({
      type: DownloadTicketRef,
      description: 'The same for every tier, with what a downloader needs to know.',
      args: linkArgs,
      resolve: (snapshot, { expiresIn, ...options }, { links }) =>
        links.ticket(snapshot, { expiresInSeconds: expiresIn, ...options }),
    }),
  }
})
