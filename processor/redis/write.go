package redis

import (
	"context"
	"errors"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
)

// largeBatch is the number of users from which on two more round trips cost less
// than it does to pass the states through Lua.
const largeBatch = 256

// Write implements processor.Store. Next.Version is not looked at: the header
// has Version+1 afterwards. TimerWrite.New is not looked at either: a bucket
// exists while it has entries.
//
// A batch is sent whole, whatever its size, as it has to be atomic. Redis closes
// a connection that sends more than client-query-buffer-limit (1 GB) and refuses
// a value above proto-max-bulk-len (512 MB). While it applies a batch it answers
// nobody else: some 70 ms for 50,000 users.
func (s *Store) Write(ctx context.Context, tp processor.TopicPartition, b *processor.Batch) error {
	const op = "write"
	p, err := s.keys(ctx, tp)
	if err != nil {
		return err
	}
	if p == nil {
		return s.refusal(op, newPartition(s.group, tp), processor.ErrLost, "there is no header")
	}
	a := s.batches.Get().(*batchArgs)
	defer s.batches.Put(a)
	defer a.release()
	write := s.writeAtOnce
	if len(b.States) >= s.large {
		write = s.writeInTransaction
	}
	word, rest, err := write(ctx, p, b, a)
	if err != nil {
		return s.failure(op, p, err)
	}
	if word == "ok" || word == "done" {
		return nil
	}
	return s.refused(op, p, word, rest, b.Epoch, b.Version)
}

// writeAtOnce passes everything to the script: one round trip.
func (s *Store) writeAtOnce(ctx context.Context, p *partition, b *processor.Batch, a *batchArgs) (word string, rest []any, err error) {
	a.group(p, b.States)
	keys, err := a.build(p, b, true)
	if err != nil {
		return "", nil, err
	}
	return call(ctx, s.client, batchScript, keys, a.args)
}

// transactionTries is how often a transaction is begun anew when the header has
// changed under it. Each time somebody has claimed the partition, or a call of
// ours has come late: the next check tells.
const transactionTries = 3

// writeInTransaction writes the states by plain commands, which costs Redis half
// of what it does to pass them through Lua, and leaves the rest to the script, in
// one transaction that Redis carries out only if the header has not changed since
// the script was asked for its answer.
func (s *Store) writeInTransaction(ctx context.Context, p *partition, b *processor.Batch, a *batchArgs) (word string, rest []any, err error) {
	a.group(p, b.States)
	for range transactionTries {
		err = s.client.Watch(ctx, func(tx *goredis.Tx) error {
			var err error
			word, rest, err = call(ctx, tx, batchScript, fixedKeys, a.buildCheck(p, b))
			if err != nil || word != "ok" {
				return err
			}
			keys, err := a.build(p, b, false)
			if err != nil {
				return err
			}
			a.args[0], a.args[1], a.args[2] = "eval", batchSource, keys
			last := goredis.NewCmd(ctx, a.args...)
			sent, err := tx.TxPipelined(ctx, func(pipe goredis.Pipeliner) error {
				a.setStates(ctx, pipe, p, b.States)
				return pipe.Process(ctx, last)
			})
			if err != nil {
				return cause(err, sent)
			}
			word, rest, err = answer(last)
			return err
		}, p.header)
		if !errors.Is(err, goredis.TxFailedErr) {
			return word, rest, err
		}
	}
	return "", nil, err
}

// cause finds out which command a transaction was discarded for: EXEC does not say.
func cause(err error, cmds []goredis.Cmder) error {
	if goredis.IsExecAbortError(err) {
		for _, c := range cmds {
			if e := c.Err(); e != nil && !goredis.IsExecAbortError(e) {
				return e
			}
		}
	}
	return err
}
