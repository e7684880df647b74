package processor

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// ForgetHeader marks a record of the input that has no value as an order to forget
// the user that its key names. Being a record, the order has its place among the
// user's events, in a replay too: it undoes what came before and nothing else. Having
// no value, it also lets a compacted topic drop those events.
const ForgetHeader = "nudged-forget"

// forgetting is what the open batch has forgotten, and what is left to do about it.
type forgetting struct {
	users map[string]bool
	// trim is the seq up to which the outbox in the store may hold records of users
	// that are forgotten: it goes once it is published, without waiting for the
	// next batch. 0: nothing is left.
	trim int64
}

// checkOrder says why an order cannot be obeyed.
func checkOrder(rec *Record) error {
	switch n := len(rec.Key); {
	case n == 0:
		return errors.New("an order to forget a user has the user as its key, this one has none")
	case n > rules.MaxUserLen:
		return fmt.Errorf("the user to be forgotten has %d bytes, at most %d are taken", n, rules.MaxUserLen)
	}
	return nil
}

// isOrder says that a record without a value is an order to forget somebody.
func isOrder(rec *Record) bool {
	return rec.Value == nil && !rec.Control && slices.ContainsFunc(rec.Headers, func(h sinks.Header) bool { return h.Key == ForgetHeader })
}

// obey forgets the user of an order, and says so in a decision: whoever replays finds
// it in the evidence where the order is not in the input any more.
func (p *Partition) obey(ctx context.Context, rec *Record) error {
	user := string(rec.Key)
	p.obs.begin()
	st, err := p.state(ctx, user)
	if err != nil {
		return err
	}
	d := rules.Forget(st, user, p.input.Partition, rec.Offset, max(rec.Timestamp, 0))
	p.forget(user)
	p.out.add(false, &d, ByEvent, rec.Offset, p.clock, "")
	p.count.forgotten++
	return nil
}

// forget drops what is known of the user whose state was looked up last, and every
// hint at him. What the store has of both goes with the open batch.
func (p *Partition) forget(user string) {
	if p.forgotten.users == nil {
		p.forgotten.users = map[string]bool{}
	}
	p.forgotten.users[strings.Clone(user)] = true
	p.held = false
	if p.at != nowhere {
		p.book.empty(p.at)
	}
	p.wrote = true
	his := func(d dueEntry) bool { return d.user == user }
	p.armed = slices.DeleteFunc(p.armed, his)
	p.timers.ready = slices.DeleteFunc(p.timers.ready, his)
	p.timers.due = slices.DeleteFunc(p.timers.due, his)
	heap.Init(&p.timers.due)
	if r := p.replay; r != nil {
		r.overdue = slices.DeleteFunc(r.overdue, his)
		heap.Init(&r.overdue)
	}
}

// eraseTimers has the batch take the entries of the users that it forgets out of the
// timer index. They may be anywhere in it: a hint that is not needed any more stays
// until its time. So all of it is read, once for all users of the batch.
func (p *Partition) eraseTimers(ctx context.Context, b *Batch) error {
	if len(p.forgotten.users) == 0 {
		return nil
	}
	for bucket := range p.timers.buckets {
		if slices.Contains(b.Done, bucket) {
			continue
		}
		var his []TimerEntry
		err := p.eachTimer(ctx, bucket, func(e TimerEntry) bool {
			if p.forgotten.users[e.User] {
				his = append(his, e)
			}
			return true
		})
		if err != nil {
			return err
		}
		if len(his) > 0 {
			b.Erased = append(b.Erased, TimerWrite{Bucket: bucket, Entries: his})
		}
	}
	return nil
}

// erased notes that the store has nothing of the forgotten users any more, but for
// the outbox up to the batch.
func (p *Partition) erased(b *Batch) {
	f := &p.forgotten
	if f.trim <= b.Published {
		f.trim = 0
	}
	if len(f.users) == 0 {
		return
	}
	p.book.erase(f.users)
	f.users = nil
	if b.Next.Seq > b.Published {
		f.trim = b.Next.Seq
	}
}

// trim empties the outbox of what is published, as every batch does: after a user
// was forgotten it does not wait for the next. The write has no number of its own.
func (p *Partition) trim(ctx context.Context) error {
	published, _ := p.settled()
	if p.forgotten.trim == 0 || p.forgotten.trim > published || p.wrote || p.replay != nil {
		return nil
	}
	b := Batch{Epoch: p.head.Epoch, Version: p.head.Version, Next: p.head, Published: published}
	b.Next.Version++
	if err := p.retry(ctx, "trim the outbox", func() error { return p.cfg.Store.Write(ctx, p.input, &b) }); err != nil {
		return err
	}
	p.stored(&b)
	return nil
}
