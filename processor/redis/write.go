package redis

import (
	"context"

	"github.com/nudged/nudged/processor"
)

// Write implements processor.Store. Next.Version is not looked at: the header
// has Version+1 afterwards. TimerWrite.New is not looked at either: a bucket
// exists while it has entries.
//
// A batch is one command, whatever its size, as it has to be atomic. Redis
// closes a connection that sends more than client-query-buffer-limit (1 GB) and
// refuses a value above proto-max-bulk-len (512 MB). While it applies a batch it
// answers nobody else: about 0.1 s for 50,000 users.
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
	keys, err := a.build(p, b)
	if err != nil {
		return s.failure(op, p, err)
	}
	word, rest, err := s.call(ctx, batchScript, keys, a.args)
	if err != nil {
		return s.failure(op, p, err)
	}
	if word == "ok" || word == "done" {
		return nil
	}
	return s.refused(op, p, word, rest, b.Epoch, b.Version)
}

// raw lets go-redis take bytes by pointer: a slice put into an interface costs
// an allocation, a pointer none.
type raw []byte

// MarshalBinary implements encoding.BinaryMarshaler.
func (r *raw) MarshalBinary() ([]byte, error) { return *r, nil }

// batchArgs builds the arguments of the batch script. It is used again and again:
// what a large batch has grown stays.
type batchArgs struct {
	args    []any
	users   grouping
	values  []int  // of each user bucket: how many values it gets
	members []raw  // timer entries
	bytes   []byte // of the members
}

// release drops what belongs to the caller's batch.
func (a *batchArgs) release() {
	clear(a.args)
	a.args = a.args[:0]
}

// build fills args and returns how many of them are keys.
func (a *batchArgs) build(p *partition, b *processor.Batch) (keys int, err error) {
	if err := a.encodeTimers(b.Timers); err != nil {
		return 0, err
	}
	a.users.sort(p, len(b.States), func(i int) string { return b.States[i].User })
	a.values = grow(a.values, len(p.users))
	for k := range a.values {
		a.values[k] = 2 * len(a.users.in(k))
	}

	a.args = append(a.args[:0], nil, nil, nil) // scriptHead
	a.args = append(a.args, p.header, p.outbox, p.timers)
	for _, d := range b.Done {
		a.args = append(a.args, p.timerList(bucketNumber(d)))
	}
	timers := 0
	for i := range b.Timers {
		if len(b.Timers[i].Entries) > 0 {
			a.args = append(a.args, p.timerList(bucketNumber(b.Timers[i].Bucket)))
			timers++
		}
	}
	users := 0
	for k := range p.users {
		if a.values[k] > 0 {
			a.args = append(a.args, &p.users[k])
			users++
		}
	}
	keys = len(a.args) - scriptHead

	n := &b.Next
	a.args = append(a.args, b.Epoch, b.Version, b.Version+1, b.Published,
		n.Seq, n.History.String(), n.Last, n.Offset, n.Clock, n.Base, formatEvidence(n.Evidence))
	if b.Outbox != nil {
		a.args = append(a.args, b.Outbox.Seq, b.Outbox.Records)
	} else {
		a.args = append(a.args, "", "")
	}
	a.args = append(a.args, len(b.Done))
	for _, d := range b.Done {
		a.args = append(a.args, bucketNumber(d))
	}
	a.appendTimers(timers, b.Timers)
	a.appendStates(users, b.States)
	return keys, nil
}

func (a *batchArgs) appendTimers(buckets int, timers []processor.TimerWrite) {
	a.args = append(a.args, buckets)
	next := 0
	for i := range timers {
		n := len(timers[i].Entries)
		if n == 0 {
			continue
		}
		a.args = append(a.args, bucketNumber(timers[i].Bucket), n)
		for range n {
			a.args = append(a.args, &a.members[next])
			next++
		}
	}
}

func (a *batchArgs) appendStates(buckets int, states []processor.StateWrite) {
	a.args = append(a.args, buckets)
	for k := range a.values {
		if a.values[k] == 0 {
			continue
		}
		a.args = append(a.args, &a.values[k])
		for _, i := range a.users.in(k) {
			a.args = append(a.args, &states[i].User, (*raw)(&states[i].State))
		}
	}
}

// encodeTimers makes the members of all timer lists. Neither slice grows while
// it is filled, so what points into them stays good.
func (a *batchArgs) encodeTimers(timers []processor.TimerWrite) error {
	entries, size := 0, 0
	for i := range timers {
		entries += len(timers[i].Entries)
		for j := range timers[i].Entries {
			size += maxTimerHead + len(timers[i].Entries[j].User)
		}
	}
	a.members = grow(a.members, entries)[:0]
	a.bytes = grow(a.bytes, size)[:0]
	for i := range timers {
		for j := range timers[i].Entries {
			from := len(a.bytes)
			var err error
			if a.bytes, err = appendTimer(a.bytes, timers[i].Bucket, &timers[i].Entries[j]); err != nil {
				return err
			}
			a.members = append(a.members, a.bytes[from:len(a.bytes):len(a.bytes)])
		}
	}
	return nil
}
