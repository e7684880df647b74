package forward

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// partition is what is under way of one partition: each user's commands one
// after the other, different users' at the same time.
type partition struct {
	f      *Forwarder
	number int32
	cancel context.CancelFunc
	ctx    context.Context
	chains sync.WaitGroup

	mu        sync.Mutex
	window    []*underWay            // in order of offsets, from the first that is not done
	users     map[string][]*underWay // what waits behind a user's command under way
	next      int64                  // offset below which everything is done; -1: nothing is known
	committed int64
	held      bool // fetching is to be resumed once there is room
}

// underWay is one command.
type underWay struct {
	rec  *kgo.Record
	done bool
}

func newPartition(f *Forwarder, number int32) *partition {
	p := &partition{f: f, number: number, users: map[string][]*underWay{}, next: -1, committed: -1}
	p.ctx, p.cancel = context.WithCancel(f.ctx)
	return p
}

// add takes records on and says whether the window is full.
func (p *partition) add(recs []*kgo.Record) (full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, rec := range recs {
		u := &underWay{rec: rec, done: rec.Attrs.IsControl() || rec.Value == nil}
		p.window = append(p.window, u)
		if u.done {
			continue
		}
		user := string(rec.Key)
		waiting, busy := p.users[user]
		p.users[user] = append(waiting, u)
		if !busy {
			p.chains.Go(func() { p.chain(user) })
		}
	}
	p.advance()
	p.held = len(p.window) >= p.f.cfg.Window
	return p.held
}

// paused resumes at once if what was full when add returned is not any more.
func (p *partition) paused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.held {
		p.f.resume(p.number)
	}
}

// chain delivers a user's commands until there are none, or the partition ends.
func (p *partition) chain(user string) {
	for {
		p.mu.Lock()
		waiting := p.users[user]
		if len(waiting) == 0 || p.ctx.Err() != nil {
			delete(p.users, user)
			p.mu.Unlock()
			return
		}
		u := waiting[0]
		p.mu.Unlock()
		if !p.f.deliver(p.ctx, u.rec) {
			continue // the context has ended
		}
		p.mu.Lock()
		p.users[user] = p.users[user][1:]
		u.done = true
		p.advance()
		p.mu.Unlock()
	}
}

// advance drops what is done from the front of the window; p.mu is held.
func (p *partition) advance() {
	n := 0
	for n < len(p.window) && p.window[n].done {
		p.next = p.window[n].rec.Offset + 1
		p.window[n] = nil
		n++
	}
	p.window = p.window[n:]
	if p.held && len(p.window) <= p.f.cfg.Window/2 {
		p.held = false
		p.f.resume(p.number)
	}
}

// progress returns the offset to commit, false if there is nothing new.
func (p *partition) progress() (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next, p.next > p.committed
}

func (p *partition) settled(at int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.committed = max(p.committed, at)
}

// stop begins nothing new and waits for what is under way to end.
func (p *partition) stop() {
	p.cancel()
	p.chains.Wait()
}

func (p *partition) underWay() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.window)
}

// onCommit turns the reply to a commit into one error.
func onCommit(tell func(error)) func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	return func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, res *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			tell(err)
			return
		}
		for _, t := range res.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					tell(err)
					return
				}
			}
		}
	}
}
