package processor

import (
	"bytes"
	"context"
	"slices"
)

// Own takes a partition on as Assign does, without a goroutine for it. recovered
// is told when it has to be claimed anew.
func (pr *Processor) Own(tp TopicPartition, recovered func(error)) {
	w := newWorker(pr, tp)
	w.failed = recovered
	pr.workers[tp] = w
}

// Disown drops a partition as Revoke does.
func (pr *Processor) Disown(tp TopicPartition) { delete(pr.workers, tp) }

// ClaimNow claims partitions that were taken on, together and in the caller's
// goroutine. What they have to publish is seen by PublishNow from then on.
func (pr *Processor) ClaimNow(ctx context.Context, tps ...TopicPartition) ([]*Partition, []error) {
	reqs := make([]claimRequest, len(tps))
	workers := make([]*worker, len(tps))
	for i, tp := range tps {
		workers[i] = pr.workers[tp]
		workers[i].part = nil
		reqs[i] = claimRequest{tp, workers[i], make(chan claimReply, 1)}
	}
	pr.claim(ctx, reqs)
	parts, errs := make([]*Partition, len(tps)), make([]error, len(tps))
	for i, r := range reqs {
		reply := <-r.reply
		parts[i], errs[i] = reply.partition, reply.err
		workers[i].part = reply.partition
	}
	return parts, errs
}

// Forget ends what a partition was doing, as the end of a worker's session does:
// what it has to publish is left to the next claim.
func (pr *Processor) Forget(tp TopicPartition) {
	if w := pr.workers[tp]; w != nil {
		w.part = nil
	}
}

// PublishNow publishes what waits, in one transaction.
func (pr *Processor) PublishNow(ctx context.Context) error { return pr.publishAll(ctx) }

// Tell says what was refused.
func (p *Partition) Tell(pr *Processor) { pr.workers[p.input].tellCrowded(p) }

// CheckFence is what an idle partition does once a second.
func (p *Partition) CheckFence(ctx context.Context) error { return p.checkFence(ctx) }

// ShrinkCache makes the segments of the cache so small that states fall out of
// it, for a partition that has just been claimed.
func (p *Partition) ShrinkCache(segment int) { p.book.size, p.book.limit = segment, 3 }

// Cached says whether the user's state is in the cache.
func (p *Partition) Cached(user string) bool { return p.book.has(keyOf(user)) }

// Trim is what an idle partition does about the outbox after it has forgotten
// somebody.
func (p *Partition) Trim(ctx context.Context) error { return p.trim(ctx) }

// Remembers says where the memory of the partition has the text.
func (p *Partition) Remembers(text string) (where []string) {
	for _, segment := range p.book.segments {
		if bytes.Contains(segment, []byte(text)) {
			where = append(where, "book")
		}
	}
	for _, d := range slices.Concat(p.timers.due, p.armed) {
		if d.user == text {
			where = append(where, "timers")
		}
	}
	return where
}

// Hints lists what the partition has in memory of the timer index.
func (p *Partition) Hints() []TimerEntry {
	var out []TimerEntry
	for _, d := range append(slices.Clone(p.timers.due), p.timers.ready...) {
		out = append(out, TimerEntry{At: d.at, User: d.user})
	}
	return out
}

// Horizon is up to where Hints has everything, ms.
func (p *Partition) Horizon() int64 { return p.timers.horizon }

// EventsPerChunk is how many records are taken in together.
const EventsPerChunk = chunk

// TraceOf is traceOf.
var TraceOf = traceOf

// LookAround looks at everybody after the rules have changed.
func (p *Partition) LookAround(ctx context.Context) error {
	for {
		if more, err := p.lookAround(ctx); !more || err != nil {
			return err
		}
	}
}
