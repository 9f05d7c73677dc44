// One measurement of Emmett's PostgreSQL event store; takes a task as JSON, prints a result as JSON.
//
// Several appends are under way at once over one pool. Reading takes large batches and pauses for a
// millisecond only between them; the library's own defaults (100, 50 ms) would bound it at 2,000/s.

import { getPostgreSQLEventStore, postgreSQLRawSQLProjection } from '@event-driven-io/emmett-postgresql';
import { SQL } from '@event-driven-io/dumbo';
import pg from 'pg';

const task = JSON.parse(process.argv[2]);
const STREAMS = 100;
const TABLE = `CREATE TABLE follower_changes (
  id text PRIMARY KEY, account text NOT NULL, change_type text NOT NULL, user_id text NOT NULL,
  username text NOT NULL, profile_pic_url text, verified boolean, follower_count integer)`;

const follow = (number) => ({
  type: 'FollowerGained',
  data: {
    account_id: `account-${number % STREAMS}`,
    user_id: `${10n ** 18n + BigInt(number)}`,
    username: `person_${number}`,
    profile_pic_url: `https://img.example.org/p/${number}_normal.jpg`,
    verified: number % 10 === 0,
    follower_count: number % 5000,
  },
});

const projection = postgreSQLRawSQLProjection({
  name: 'follower_changes',
  canHandle: ['FollowerGained'],
  evolve: ({ data, metadata }) => SQL`
    INSERT INTO follower_changes VALUES (${metadata.messageId}, ${data.account_id}, 'new_follower',
      ${data.user_id}, ${data.username}, ${data.profile_pic_url}, ${data.verified},
      ${data.follower_count})
    ON CONFLICT (id) DO NOTHING`,
});

const append = async (store) => {
  let next = 0;
  const caller = async (own) => {
    while (next < task.events) {
      const first = next;
      next += task.per_call;
      const events = Array.from({ length: task.per_call }, (_, place) => follow(first + place));
      // Callers have streams of their own: nobody waits for another's row.
      const stream = Math.floor(first / task.per_call) % (STREAMS / task.at_once);
      await store.appendToStream(`account-${own}-${Math.floor(stream)}`, events);
    }
  };
  await Promise.all(Array.from({ length: task.at_once }, (_, own) => caller(own)));
};

const consume = async (store, makeProcessor) => {
  const consumer = store.consumer({
    pulling: { batchSize: 1000, pullingFrequencyInMs: 1 },
    stopWhen: { noMessagesLeft: true },
  });
  makeProcessor(consumer);
  await consumer.start();
  await consumer.close();
};

let seen = 0;
const works = {
  append,
  project: (store) => consume(store, (consumer) => consumer.projector({ projection })),
  read: (store) => {
    const eachMessage = () => {
      seen += 1;
    };
    return consume(store, (consumer) => consumer.reactor({ processorId: 'reader', eachMessage }));
  },
};

const pool = new pg.Pool({ connectionString: task.database, max: task.at_once + 2 });
const store = getPostgreSQLEventStore(task.database, { connectionOptions: { pool } });
await store.schema.migrate();
if (task.work === 'project') await pool.query(TABLE);
const cpu = process.cpuUsage();
const started = performance.now();
await works[task.work](store);
const seconds = (performance.now() - started) / 1000;
const used = process.cpuUsage(cpu);
const table = task.work === 'project' ? 'follower_changes' : 'emt_messages';
const { rows } = await pool.query(`SELECT count(*)::int AS count FROM ${table}`);
const done = task.work === 'read' ? seen : rows[0].count;
console.log(
  JSON.stringify({ rows: done, seconds, cpu_seconds: (used.user + used.system) / 1e6 }),
);
await pool.end();
process.exit(0);
