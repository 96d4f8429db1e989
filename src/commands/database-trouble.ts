import { type DatabaseTrouble, troubleOf } from '../db/trouble.ts'

/** What is wrong, and what to do about it: behind `DATABASE_URL: `. */
const SENTENCES: Readonly<Record<Exclude<DatabaseTrouble, 'OTHER'>, string>> = {
  REFUSED: 'nothing listens at its host and port: start PostgreSQL there, or correct them',
  UNKNOWN_HOST: 'its host is not known here: correct the name, or the DNS of this machine',
  SOCKET_FORBIDDEN: 'this user may not open its socket: let them, or name a host and port',
  NO_ANSWER: 'no answer came in time: look for a firewall, a wrong host, or a server under too much load',
  SLOW: 'a statement took longer than it may: look at its load, its locks and the limits of its user',
  LOCKED: 'its tables are locked, as they are while it is migrated: try again in a moment',
  TLS_WANTED:
    'the server lets nobody in without TLS, or not this user: add sslmode=require, or let them in by pg_hba.conf',
  NOT_LET_IN: 'the server refuses the user or the password: correct them, or let them in by pg_hba.conf',
  NO_PASSWORD: 'the server asks for a password, and there is none: put it there, or into PGPASSWORD',
  NO_DATABASE: 'there is no database of that name: create it (encoded in UTF8), or correct the name',
  NO_RIGHT: 'the user lacks rights there: grant CONNECT on the database, and USAGE on its schema',
  TOO_MANY_CONNECTIONS: 'all its connections are taken: close some, or raise max_connections',
  READ_ONLY: 'the database takes no writes, as a standby does: let it name the primary',
  STARTING: 'the server is starting up or shutting down: try again in a moment',
  POOLER_OPTIONS: 'a pooler on the way does not take options: leave them out, and set them for the role in PostgreSQL',
  POOLER: 'a pooler on the way refuses: look at its databases, its users and its log',
  CERTIFICATE:
    "the server's certificate is of an authority that is not known here: name its file by sslrootcert=FILE; sslmode=no-verify would trust anybody",
  CERTIFICATE_NAME: "the server's certificate is for another name: use that name as its host",
  CERTIFICATE_DATE: "the server's certificate has expired, or the clock of this machine is wrong",
  NO_TLS: 'the server has no TLS: turn it on there, or leave sslmode out where the network is your own',
  TLS: 'the server and this machine do not agree on TLS: look at sslmode and the certificate',
  NOT_POSTGRES: 'what answers there breaks off, and may be no PostgreSQL: correct host and port',
}

/** Of a table with policies: whoever does not see all rows reads them as if there were no others. */
export const HIDDEN_ROWS =
  'row-level security decides which rows of state_snapshots this user sees: alter role with BYPASSRLS, or use the owner'

/** In one sentence, without a value of the URL; null where nothing is known of it. */
export function explainDatabase(error: unknown): string | null {
  const trouble = troubleOf(error)
  return trouble === 'OTHER' ? null : `DATABASE_URL: ${SENTENCES[trouble]}`
}
