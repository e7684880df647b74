package processor

import (
	"context"
	"fmt"
	"slices"

	"github.com/nudged/nudged/rules"
)

// want notes that the user's state will be needed. What is not in the book is
// loaded by load.
func (p *Partition) want(user string) {
	// Of a partition without history the store knows nothing that the book does
	// not, until something has been evicted.
	if !p.book.evicted || p.book.has(keyOf(user)) {
		return
	}
	p.missing = append(p.missing, user)
}

// load fetches the states of wanted users into the book.
func (p *Partition) load(ctx context.Context) error {
	if len(p.missing) == 0 {
		return nil
	}
	slices.Sort(p.missing)
	users := slices.Compact(p.missing)
	var blobs [][]byte
	err := p.retry(ctx, "load states", func() (err error) {
		blobs, err = p.cfg.Store.States(ctx, p.input, users)
		return err
	})
	if err != nil {
		return err
	}
	p.cfg.Counters.Loaded.Add(int64(len(users)))
	for i, user := range users {
		// An empty entry stands for a user without a state.
		p.book.put(keyOf(user), user, blobs[i], false, false)
	}
	clear(p.missing)
	p.missing = p.missing[:0]
	return nil
}

// state returns the user's state, decoded. It is good until the next call.
func (p *Partition) state(ctx context.Context, user string) (*rules.State, error) {
	k := keyOf(user)
	n, ok := p.book.find(k)
	if !ok && p.book.evicted {
		p.missing = append(p.missing, user)
		if err := p.load(ctx); err != nil {
			return nil, err
		}
		n, ok = p.book.find(k)
	}
	var blob []byte
	p.at = nowhere
	if ok {
		p.at, blob = n, p.book.use(n)
	}
	if len(blob) == 0 {
		p.st.Reset()
		return &p.st, nil
	}
	if err := p.st.Decode(blob); err != nil {
		return nil, &StopError{Input: p.input, Group: p.cfg.Group, User: user,
			Reason: fmt.Sprintf("the state of %s cannot be read: %v", Hidden(user), err),
			Wayout: "Run the version of nudged that wrote it, or restore Redis from a backup"}
	}
	return &p.st, nil
}

// known says that the user whose state was decoded last has one.
func (p *Partition) known() bool { return p.at != nowhere && len(p.book.use(p.at)) > 0 }

// keep puts back the state that was decoded last: the user's.
func (p *Partition) keep(user string, armed bool) {
	p.encoded = p.st.Append(p.encoded[:0], p.set)
	if p.at == nowhere {
		p.book.put(keyOf(user), user, p.encoded, true, armed)
	} else {
		p.book.replace(p.at, user, p.encoded, true, armed)
	}
	p.wrote = true
}
