import type { ErrorInfo, Tag } from '../../model/run.ts'
import { builder } from '../builder.ts'

export const TagRef = builder.objectRef<Tag>('Tag').implement({
  description: 'A label of a run.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'What is labelled.' }),
    value: t.exposeString('value', { description: 'The label.' }),
  }),
})

export const TagInput = builder.inputType('TagInput', {
  description: 'A label of a run.',
  fields: (t) => ({
    key: t.string({ required: true, description: 'What is labelled.' }),
    value: t.string({ required: true, description: 'The label.' }),
  }),
})

export const ErrorInfoRef = builder.objectRef<ErrorInfo>('ErrorInfo').implement({
  description: 'Why a run or a step failed, as its producer told it.',
  fields: (t) => ({
    message: t.exposeString('message', { description: 'In words.' }),
    type: t.string({ nullable: true, description: 'Class or code.', resolve: ({ type }) => type ?? null }),
    stack: t.string({ nullable: true, description: 'Where it happened.', resolve: ({ stack }) => stack ?? null }),
  }),
})

export const ErrorInput = builder.inputType('ErrorInput', {
  description:
    'Why a run or a step failed. Each text may have 64 KiB: of a longer one the beginning and the end are kept, and between them it says how much is left out; NUL and half characters become U+FFFD.',
  fields: (t) => ({
    message: t.string({ required: true, description: 'In words.' }),
    type: t.string({ description: 'Class or code.' }),
    stack: t.string({ description: 'Where it happened.' }),
  }),
})

/** One header of an HTTP request that a client is to send. */
export interface HttpHeader {
  readonly name: string
  readonly value: string
}

export const HttpHeaderRef = builder.objectRef<HttpHeader>('HttpHeader').implement({
  description: 'A header to send along, exactly as it is given.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'In lower case.' }),
    value: t.exposeString('value', { description: 'As it is to be sent.' }),
  }),
})
