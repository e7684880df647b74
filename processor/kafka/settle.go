package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/processor"
)

// settle makes sure that a transaction that has failed is over: a new producer
// epoch aborts what is open and fences what is still under way. It returns when
// that is certain and the next transaction can begin, or when nothing can make it
// so: ctx has ended, or another process uses the id.
func (g *Group) settle(ctx context.Context, began time.Time, failed error) error {
	if errors.Is(failed, processor.ErrNotOwner) {
		// The offsets were never sent, and the session has aborted.
		return failed
	}
	wait := 100 * time.Millisecond
	err := failed
	for ctx.Err() == nil {
		useless := false
		if !errors.Is(err, kerr.ProducerFenced) {
			useless, err = abort(ctx, g.cl())
		}
		fenced := errors.Is(err, kerr.ProducerFenced)
		switch {
		case err == nil:
			return fmt.Errorf("%w: %w", processor.ErrNotPublished, failed)
		case fenced && !g.fencedItself(began, failed) && g.fencedAgain(time.Now()):
			return fmt.Errorf("%w %q: %w; give each process an id of its own (kafka.transactional_id)",
				processor.ErrProducerFenced, g.cfg.TransactionalID, failed)
		case fenced || useless:
			if err := g.renew(err); err != nil {
				return err
			}
			return fmt.Errorf("%w: %w", processor.ErrNotPublished, failed)
		}
		g.cfg.Logger.Warn("the outcome of a transaction is settled anew", "error", err.Error())
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
	return fmt.Errorf("%w: %w", processor.ErrUnsettled, failed)
}

// abort ends the transaction. The client may put off a new epoch until it produces
// again; it is taken now, so that what becomes of it counts for this transaction.
// useless: the client will never begin a transaction again.
func abort(ctx context.Context, cl *kgo.Client) (useless bool, err error) {
	if err := cl.AbortBufferedRecords(ctx); err != nil {
		return false, err
	}
	if err := cl.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return false, err
	}
	_, _, err = cl.ProducerID(ctx)
	return dead(err), err
}

// fencedItself says that this process, and no other one, is why its producer was
// fenced. Under transaction.version 0 and 1 the coordinator says that of a producer
// whose transaction was open for longer than its timeout, and of one that asks for a
// new epoch while its transaction is open, which is what settling does when the
// broker's answer was lost. (Under 2 it says INVALID_TXN_STATE, or goes on.) Whoever
// is fenced by another process hears that its epoch is old at once.
func (g *Group) fencedItself(began time.Time, failed error) bool {
	old := errors.Is(failed, kerr.ProducerFenced) || errors.Is(failed, kerr.InvalidProducerEpoch)
	return !old || time.Since(began) >= g.cfg.TransactionTimeout
}

// fencedAgain notes that the producer was fenced, and says that it has been so often of
// late that another process must have its id. Once is no proof: a request of a producer
// that was given up may be on its way for long where connections are cut and brokers
// die, and fence the next one when it arrives.
func (g *Group) fencedAgain(now time.Time) bool {
	g.fences = append(slices.DeleteFunc(g.fences, func(t time.Time) bool { return now.Sub(t) > clashWindow }), now)
	return len(g.fences) >= clashFences
}

const (
	// clashWindow and clashFences say when a clash of transactional ids is taken for
	// certain: two processes fence each other with every transaction.
	clashWindow = time.Minute
	clashFences = 3
)

// dead says that a producer was told something after which its client refuses to
// begin a transaction for ever, as a broker does that has settled one by itself. A
// new client is what helps.
func dead(err error) bool {
	var told *kerr.Error
	return errors.As(err, &told) && !told.Retriable
}
