package processor

import (
	"context"
	"errors"
	"time"

	"github.com/nudged/nudged/sinks"
)

// publishSoon wakes the publisher.
func (pr *Processor) publishSoon() {
	select {
	case pr.publish <- struct{}{}:
	default:
	}
}

// handedOver notes that a partition has written a batch.
func (pr *Processor) handedOver(caughtUp bool) {
	pr.mu.Lock()
	pr.backlog = !caughtUp
	pr.mu.Unlock()
	pr.publishSoon()
}

// publishLoop runs one transaction after the other. Records go out at once, but
// not closer than SendGap apart; progress without records may wait for
// CommitInterval; in a backlog transactions are BacklogGap apart.
func (pr *Processor) publishLoop(ctx context.Context) {
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-pr.publish:
		}
		for {
			batches, records := pr.unpublished()
			if batches == 0 {
				break
			}
			gap := pr.cfg.CommitInterval
			if records {
				gap = pr.cfg.SendGap
			}
			pr.mu.Lock()
			if pr.backlog {
				gap = pr.cfg.BacklogGap
			}
			pr.mu.Unlock()
			if wait := time.Until(last.Add(gap)); wait > 0 {
				// A batch with records may arrive meanwhile and shorten the wait.
				select {
				case <-ctx.Done():
					return
				case <-pr.publish:
					continue
				case <-time.After(wait):
				}
			}
			last = time.Now()
			if err := pr.publishAll(ctx); err != nil {
				break
			}
		}
	}
}

// unpublished counts what waits.
func (pr *Processor) unpublished() (batches int, records bool) {
	for _, w := range pr.all() {
		if p := w.partition(); p != nil {
			n, r := p.Unpublished()
			batches += n
			records = records || r
		}
	}
	return batches, records
}

func (w *worker) partition() *Partition {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.part
}

// published is one partition's part in a transaction.
type published struct {
	worker *worker
	part   *Partition
	pub    *Publication
}

// begin waits for the turn to run transactions, which end gives on.
func (pr *Processor) begin(ctx context.Context) error {
	select {
	case pr.txn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (pr *Processor) end() { <-pr.txn }

// publishAll publishes what waits in one transaction.
func (pr *Processor) publishAll(ctx context.Context) error {
	if err := pr.begin(ctx); err != nil {
		return err
	}
	defer pr.end()
	var all []published
	var pubs []*Publication
	for _, w := range pr.all() {
		part := w.partition()
		if part == nil {
			continue
		}
		if pub := part.Pending(); pub != nil {
			pub.Input = w.input
			all = append(all, published{w, part, pub})
			pubs = append(pubs, pub)
		}
	}
	if len(all) == 0 {
		return nil
	}
	pr.cfg.Counters.Transactions.Add(1)
	began := time.Now()
	err := pr.transact(ctx, pubs)
	if pr.cfg.Observer != nil {
		pr.cfg.Observer.Transaction(time.Since(began), err)
	}
	if err != nil {
		pr.cfg.Counters.Aborted.Add(1)
		for _, a := range all {
			a.worker.recover(a.part, err)
		}
		return err
	}
	for _, a := range all {
		a.part.Settle(a.pub)
		if a.part.obs.by != nil {
			a.part.obs.by.Published(a.pub.Commit.Seq)
		}
		a.worker.signal()
	}
	return pr.tellSinks(ctx, pubs)
}

// transact runs one transaction. A clash of transactional ids ends the processor.
func (pr *Processor) transact(ctx context.Context, pubs []*Publication) error {
	if invariants {
		must(!pr.inTxn.Swap(true), 9, "a transaction begins while another is under way")
		defer pr.inTxn.Store(false)
		for _, pub := range pubs {
			epoch, known := pub.Commit.History.EpochAt(pub.Commit.Seq)
			must(pub.Commit.Seq == 0 || !known || epoch <= pub.Commit.Epoch, 3, "%s: batch %d of epoch %d is committed under epoch %d", pub.Input, pub.Commit.Seq, epoch, pub.Commit.Epoch)
		}
	}
	err := pr.cfg.Log.Publish(ctx, pubs)
	if errors.Is(err, ErrProducerFenced) {
		pr.fail(err)
	}
	return err
}

// tellSinks passes the commands on, after they have become visible.
func (pr *Processor) tellSinks(ctx context.Context, pubs []*Publication) error {
	if len(pr.cfg.Sinks) == 0 {
		return nil
	}
	var commands []sinks.Record
	for _, p := range pubs {
		err := p.EachRecord(func(r *sinks.Record) error {
			if pr.cfg.Layout.IsSend(*r) {
				commands = append(commands, *r)
			}
			return nil
		})
		if err != nil {
			return err // it has been read before: this does not happen
		}
	}
	if len(commands) == 0 {
		return nil
	}
	for _, s := range pr.cfg.Sinks {
		if err := s.Deliver(ctx, commands); err != nil {
			pr.cfg.Logger.Error("a sink has failed; the commands are in the send topic", "error", err.Error())
		}
	}
	return nil
}
