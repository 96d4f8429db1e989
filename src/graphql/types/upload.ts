import type { UploadTicket, UploadTicketPart } from '../../snapshots/capture/uploads.ts'
import { builder } from '../builder.ts'
import { costing, PARTS } from '../cost.ts'
import { changing } from '../loader.ts'
import { CaptureSnapshotPayload, captureFields, metadataText } from './capture.ts'
import { HttpHeaderRef } from './common.ts'

const DEFAULT_SECONDS = 3600
/** A payload has more of them only where it is larger than some gigabytes. */
const PARTS_USUAL = 100

const BeginSnapshotUploadInput = builder.inputType('BeginSnapshotUploadInput', {
  description: 'A state whose bytes are to come on their own, and what is known of it.',
  fields: (t) => ({
    ...captureFields(t),
    sizeBytes: t.field({ type: 'BigInt', required: true, description: 'Of the payload, in bytes: 1 to 5 TiB.' }),
    digest: t.string({ required: true, description: '`sha256:<64 hex>` of the payload, in lower case.' }),
    expiresIn: t.int({
      defaultValue: DEFAULT_SECONDS,
      description: 'Seconds until the ticket ends, from 1 to a limit that the server sets: a day unless told.',
    }),
  }),
})

const UploadPartRef = builder.objectRef<UploadTicketPart & { readonly partNumber: number }>('UploadPart').implement({
  description: 'A range of the payload, and where it goes.',
  fields: (t) => ({
    partNumber: t.exposeInt('partNumber', { description: 'Counts from 1.' }),
    url: t.expose('url', { type: 'URL', description: 'Where to PUT it.' }),
    headers: t.field({
      type: [HttpHeaderRef],
      description: 'To be sent along, exactly.',
      extensions: costing(PARTS),
      resolve: ({ headers }) => listHeaders(headers),
    }),
    offset: t.expose('offset', { type: 'BigInt', description: 'Where it begins in the payload, in bytes.' }),
    sizeBytes: t.expose('sizeBytes', {
      type: 'BigInt',
      description: 'How many bytes it has: exactly these are taken.',
    }),
  }),
})

const UploadTicketRef = builder.objectRef<UploadTicket>('UploadTicket').implement({
  description: 'Where the bytes of one payload go: anyone who holds it may send them, and no others, until it ends.',
  fields: (t) => ({
    uploadId: t.exposeID('uploadId', { description: 'To commit by; UUID.' }),
    alreadyStored: t.exposeBoolean('alreadyStored', {
      description:
        'These bytes are here already: send nothing, and commit. Where the commit says OBJECT_MISSING all the same, begin anew.',
    }),
    direct: t.exposeBoolean('direct', {
      description: 'Whether the bytes go to the store itself and not by way of this server.',
    }),
    method: t.string({ description: 'How to send: PUT.', resolve: () => 'PUT' }),
    url: t.field({
      type: 'URL',
      nullable: true,
      description: 'Where to send all of it. Null when it is stored already, and when it is sent in parts.',
      resolve: (ticket) => wholeOf(ticket)?.url ?? null,
    }),
    headers: t.field({
      type: [HttpHeaderRef],
      description: 'To be sent along with all of it, exactly. An answer of 412 then means that it is there.',
      extensions: costing(PARTS),
      resolve: (ticket) => listHeaders(wholeOf(ticket)?.headers ?? {}),
    }),
    parts: t.field({
      type: [UploadPartRef],
      description: 'In order; may be sent in any, and again. Empty when all of it is sent at once.',
      extensions: costing({ items: PARTS_USUAL }),
      resolve: ({ parts, isInParts }) =>
        isInParts ? parts.map((part, index) => ({ ...part, partNumber: index + 1 })) : [],
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'When it ends: never later than asked, earlier where the credentials of the store end earlier.',
      resolve: ({ expiresAt }) => expiresAt.toISOString(),
    }),
  }),
})

builder.mutationFields((t) => ({
  beginSnapshotUpload: t.field({
    type: UploadTicketRef,
    description:
      'Begins a capture whose bytes do not come in the request. Send them as the ticket says, then commit. What is never committed is deleted when the ticket has ended.',
    args: { input: t.arg({ type: BeginSnapshotUploadInput, required: true, description: 'The state.' }) },
    resolve: (_root, { input: { sizeBytes, expiresIn, metadata, ...input } }, context) => {
      const sized = { sizeBytes: Number(sizeBytes), expiresInSeconds: expiresIn ?? DEFAULT_SECONDS }
      return changing(context, context.uploads.begin({ ...input, ...sized, metadata: metadataText(metadata) }))
    },
  }),
  commitSnapshotUpload: t.field({
    type: CaptureSnapshotPayload,
    description:
      'Checks the bytes that arrived, and stores the snapshot. It is refused for good when they are not JSON, or not those that were announced; while they are not there it can be tried again. The work goes on without its caller: on a retryable error, and on STORAGE_TIMEOUT, which comes after 50 seconds, ask again and send nothing.',
    args: { uploadId: t.arg.id({ required: true, description: 'Of the ticket.' }) },
    resolve: (_root, { uploadId }, context) => changing(context, context.uploads.commit(uploadId, context.signal)),
  }),
}))

function wholeOf({ parts, isInParts }: UploadTicket): UploadTicketPart | undefined {
  return isInParts ? undefined : parts[0]
}

function listHeaders(headers: Readonly<Record<string, string>>) {
  return Object.entries(headers).map(([name, value]) => ({ name, value }))
}
