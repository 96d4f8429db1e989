import type { Viewer, ViewerMode } from '../../auth/viewer.ts'
import { builder } from '../builder.ts'
import { costing, PART, PARTS } from '../cost.ts'

const ViewerModeRef = builder.enumType('ViewerMode', {
  description: 'How the server knows who asks.',
  values: {
    NONE: { value: 'none', description: 'It does not: it asks nobody.' },
    TOKEN: { value: 'token', description: 'By a token of its file.' },
    JWT: { value: 'jwt', description: 'By a token that an issuer signed.' },
    LINK: { value: 'link', description: 'By a link.' },
  } satisfies Record<Uppercase<ViewerMode>, { value: ViewerMode; description: string }>,
})

const ViewerRef = builder.objectRef<Viewer>('Viewer').implement({
  description: 'Who asks, and what they may.',
  fields: (t) => ({
    name: t.exposeString('name', {
      nullable: true,
      description: 'As the token says, and as logs do. Null where nobody is asked.',
    }),
    scopes: t.stringList({
      description: '`read`, `write`, `delete`, `storage:read`, `pii:read`, `admin`; `admin` is all of them.',
      extensions: costing(PARTS),
      resolve: ({ scopes }) => [...scopes],
    }),
    mode: t.expose('mode', { type: ViewerModeRef, description: 'How the server knows.' }),
  }),
})

builder.queryField('viewer', (t) =>
  t.field({
    type: ViewerRef,
    description: 'Who asks, and what they may.',
    extensions: costing(PART),
    resolve: (_root, _args, { viewer }) => viewer,
  }),
)
