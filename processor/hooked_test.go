package processor_test

import (
	"context"

	"github.com/nudged/nudged/processor"
)

// hooked is a store whose calls can be met on their way: before they have had
// their effect, and after, when only the reply is still to come. An error from
// before keeps the call from having any effect; one from after takes the place of
// the reply.
type hooked struct {
	processor.Store
	before, after func(call string, tp processor.TopicPartition) error
}

func (h *hooked) run(name string, tp processor.TopicPartition, call func() error) error {
	if h.before != nil {
		if err := h.before(name, tp); err != nil {
			return err
		}
	}
	err := call()
	if h.after != nil {
		if lost := h.after(name, tp); lost != nil {
			return lost
		}
	}
	return err
}

func (h *hooked) Peek(ctx context.Context, tp processor.TopicPartition) (r *processor.Header, err error) {
	err = h.run("peek", tp, func() (err error) { r, err = h.Store.Peek(ctx, tp); return err })
	return r, err
}

func (h *hooked) Claim(ctx context.Context, tp processor.TopicPartition, c processor.Claim) (out *processor.Claimed, err error) {
	err = h.run("claim", tp, func() (err error) { out, err = h.Store.Claim(ctx, tp, c); return err })
	return out, err
}

func (h *hooked) Write(ctx context.Context, tp processor.TopicPartition, b *processor.Batch) error {
	return h.run("write", tp, func() error { return h.Store.Write(ctx, tp, b) })
}

func (h *hooked) Fence(ctx context.Context, tp processor.TopicPartition) (epoch, version int64, err error) {
	err = h.run("fence", tp, func() (err error) { epoch, version, err = h.Store.Fence(ctx, tp); return err })
	return epoch, version, err
}

func (h *hooked) States(ctx context.Context, tp processor.TopicPartition, at processor.Fence, users []string) (out [][]byte, err error) {
	err = h.run("states", tp, func() (err error) { out, err = h.Store.States(ctx, tp, at, users); return err })
	return out, err
}

func (h *hooked) Users(ctx context.Context, tp processor.TopicPartition, at processor.Fence, slice int) (users []processor.StateWrite, of int, err error) {
	err = h.run("users", tp, func() (err error) { users, of, err = h.Store.Users(ctx, tp, at, slice); return err })
	return users, of, err
}

func (h *hooked) Timers(ctx context.Context, tp processor.TopicPartition, at processor.Fence, b processor.Bucket, from, n int) (out []processor.TimerEntry, err error) {
	err = h.run("timers", tp, func() (err error) { out, err = h.Store.Timers(ctx, tp, at, b, from, n); return err })
	return out, err
}

func (h *hooked) Wipe(ctx context.Context, tp processor.TopicPartition, epoch int64) error {
	return h.run("wipe", tp, func() error { return h.Store.Wipe(ctx, tp, epoch) })
}
