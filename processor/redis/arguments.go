package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
)

// raw lets go-redis take bytes by pointer: a slice put into an interface costs
// an allocation, a pointer none.
type raw []byte

// MarshalBinary implements encoding.BinaryMarshaler.
func (r *raw) MarshalBinary() ([]byte, error) { return *r, nil }

// batchArgs builds the arguments of the batch script. It is used again and again:
// what a large batch has grown stays.
type batchArgs struct {
	args    []any
	sets    []any // of the commands that write states
	users   grouping
	values  []int  // of each user bucket: how many values it gets
	members []raw  // timer entries
	bytes   []byte // of the members
}

// release drops what belongs to the caller's batch.
func (a *batchArgs) release() {
	clear(a.args)
	clear(a.sets)
	a.args, a.sets = a.args[:0], a.sets[:0]
}

// group sorts the states by user bucket.
func (a *batchArgs) group(p *partition, states []processor.StateWrite) {
	a.users.sort(p, len(states), func(i int) string { return states[i].User })
	a.values = grow(a.values, len(p.users))
	for k := range a.values {
		a.values[k] = 2 * len(a.users.in(k))
	}
}

// fixedKeys is how many keys the script always gets.
const fixedKeys = 3

// begin fills args with the head and the fixed keys.
func (a *batchArgs) begin(p *partition) {
	a.args = append(a.args[:0], nil, nil, nil) // scriptHead
	a.args = append(a.args, p.header, p.outbox, p.timers)
}

// appendHeader adds the arguments that a check, too, has.
func (a *batchArgs) appendHeader(b *processor.Batch, mode string) {
	n := &b.Next
	a.args = append(a.args, b.Epoch, b.Version, b.Version+1, b.Published,
		n.Seq, n.History.String(), n.Last, n.Offset, n.Clock, n.Base, formatEvidence(n.Evidence), n.Sweep.String())
	if b.Outbox != nil && mode == "write" {
		a.args = append(a.args, b.Outbox.Seq, b.Outbox.Records)
	} else {
		a.args = append(a.args, "", "")
	}
	a.args = append(a.args, mode)
}

// buildCheck returns the arguments of a check.
func (a *batchArgs) buildCheck(p *partition, b *processor.Batch) []any {
	a.begin(p)
	a.appendHeader(b, "check")
	return a.args
}

// build fills args, with the states or without, and returns how many of them
// are keys.
func (a *batchArgs) build(p *partition, b *processor.Batch, states bool) (keys int, err error) {
	if err := a.encodeTimers(b.Erased, b.Timers); err != nil {
		return 0, err
	}
	a.begin(p)
	for _, d := range b.Done {
		a.args = append(a.args, p.timerList(bucketNumber(d)))
	}
	for _, timers := range [...][]processor.TimerWrite{b.Erased, b.Timers} {
		for i := range timers {
			if len(timers[i].Entries) > 0 {
				a.args = append(a.args, p.timerList(bucketNumber(timers[i].Bucket)))
			}
		}
	}
	users := 0
	for k := range p.users {
		if states && a.values[k] > 0 {
			a.args = append(a.args, &p.users[k])
			users++
		}
	}
	for _, u := range b.Gone {
		a.args = append(a.args, &p.users[p.bucketOf(u)])
	}
	keys = len(a.args) - scriptHead

	a.appendHeader(b, "write")
	a.args = append(a.args, len(b.Done))
	for _, d := range b.Done {
		a.args = append(a.args, bucketNumber(d))
	}
	next := a.appendTimers(b.Erased, 0)
	a.appendTimers(b.Timers, next)
	a.args = append(a.args, users)
	if states {
		a.appendStates(b.States)
	}
	a.args = append(a.args, len(b.Gone))
	for i := range b.Gone {
		a.args = append(a.args, &b.Gone[i])
	}
	return keys, nil
}

// appendTimers adds entries, of which the next is a member, and returns the member
// that comes after them.
func (a *batchArgs) appendTimers(timers []processor.TimerWrite, next int) int {
	count := len(a.args)
	a.args = append(a.args, nil)
	buckets := 0
	for i := range timers {
		n := len(timers[i].Entries)
		if n == 0 {
			continue
		}
		buckets++
		a.args = append(a.args, bucketNumber(timers[i].Bucket), n)
		for range n {
			a.args = append(a.args, &a.members[next])
			next++
		}
	}
	a.args[count] = buckets
	return next
}

func (a *batchArgs) appendStates(states []processor.StateWrite) {
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

// setStates adds a command for each user bucket. Their arguments lie in one array
// that does not grow meanwhile.
func (a *batchArgs) setStates(ctx context.Context, pipe goredis.Pipeliner, p *partition, states []processor.StateWrite) {
	a.sets = grow(a.sets, 2*(len(p.users)+len(states)))[:0]
	for k := range a.values {
		if a.values[k] == 0 {
			continue
		}
		from := len(a.sets)
		a.sets = append(a.sets, "hset", &p.users[k])
		for _, i := range a.users.in(k) {
			a.sets = append(a.sets, &states[i].User, (*raw)(&states[i].State))
		}
		// What it fails with the transaction fails with.
		_ = pipe.Process(ctx, goredis.NewIntCmd(ctx, a.sets[from:len(a.sets):len(a.sets)]...))
	}
}

// encodeTimers makes the members of all timer lists. Neither slice grows while
// it is filled, so what points into them stays good.
func (a *batchArgs) encodeTimers(lists ...[]processor.TimerWrite) error {
	entries, size := 0, 0
	for _, timers := range lists {
		for i := range timers {
			entries += len(timers[i].Entries)
			for j := range timers[i].Entries {
				size += maxTimerHead + len(timers[i].Entries[j].User)
			}
		}
	}
	a.members = grow(a.members, entries)[:0]
	a.bytes = grow(a.bytes, size)[:0]
	for _, timers := range lists {
		for i := range timers {
			if err := a.encodeBucket(&timers[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *batchArgs) encodeBucket(w *processor.TimerWrite) (err error) {
	for i := range w.Entries {
		from := len(a.bytes)
		if a.bytes, err = appendTimer(a.bytes, w.Bucket, &w.Entries[i]); err != nil {
			return err
		}
		a.members = append(a.members, a.bytes[from:len(a.bytes):len(a.bytes)])
	}
	return nil
}
