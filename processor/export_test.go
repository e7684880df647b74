package processor

import (
	"context"
	"slices"
)

// ClaimNow claims the partitions together, in the caller's goroutine.
func (pr *Processor) ClaimNow(ctx context.Context, tps ...TopicPartition) ([]*Partition, []error) {
	reqs := make([]claimRequest, len(tps))
	for i, tp := range tps {
		reqs[i] = claimRequest{tp, make(chan claimReply, 1)}
	}
	pr.claim(ctx, reqs)
	parts, errs := make([]*Partition, len(tps)), make([]error, len(tps))
	for i, r := range reqs {
		reply := <-r.reply
		parts[i], errs[i] = reply.partition, reply.err
	}
	return parts, errs
}

// Hold lets PublishNow see a partition that the caller drives. recovered is told
// when the partition has to be claimed anew.
func (pr *Processor) Hold(tp TopicPartition, p *Partition, recovered func(error)) {
	w := newWorker(pr, tp)
	w.part, w.failed = p, recovered
	pr.workers[tp] = w
}

// Drop takes a held partition away.
func (pr *Processor) Drop(tp TopicPartition) { delete(pr.workers, tp) }

// PublishNow publishes what waits, in one transaction.
func (pr *Processor) PublishNow(ctx context.Context) error { return pr.publishAll(ctx) }

// CheckFence is what an idle partition does once a second.
func (p *Partition) CheckFence(ctx context.Context) error { return p.checkFence(ctx) }

// Hints lists what the partition has in memory of the timer index.
func (p *Partition) Hints() []TimerEntry {
	var out []TimerEntry
	for _, d := range p.timers.due {
		out = append(out, TimerEntry{At: d.at, User: d.user})
	}
	return out
}

// Waiting lists the timer buckets that are in the store and not in memory.
func (p *Partition) Waiting() []Bucket {
	var out []Bucket
	for b, loaded := range p.timers.buckets {
		if !loaded {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b Bucket) int { return int(a.Start - b.Start) })
	return out
}

// EventsPerChunk is how many records are taken in together.
const EventsPerChunk = chunk
