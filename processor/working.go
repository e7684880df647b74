package processor

import (
	"cmp"
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
		blobs, err = p.cfg.Store.States(ctx, p.input, p.head.Fence(), users)
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
	if ok && p.held && n == p.at {
		p.book.places[n].used = true
		return &p.st, nil
	}
	if p.held {
		p.putBack()
		n, ok = p.book.find(k) // it may have had to go
	}
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
		return nil, &StopError{
			Input: p.input, Group: p.cfg.Group, User: user,
			Reason: fmt.Sprintf("the state of %s cannot be read: %v", Hidden(user), err),
			Wayout: "Run the version of nudged that wrote it, or restore Redis from a backup",
		}
	}
	return &p.st, nil
}

// known says that the user whose state was decoded last has one.
func (p *Partition) known() bool { return p.at != nowhere && len(p.book.use(p.at)) > 0 }

// keep puts back the state that was decoded last: the user's. A large one only
// once another is needed: a user gone wild has many events in a row.
func (p *Partition) keep(user string, armed bool) {
	p.wrote = true
	if p.at != nowhere && p.book.stateSize(p.at) >= cmp.Or(p.cfg.HoldBytes, defaultHold) {
		p.st.Trim(p.set)
		p.book.note(p.at, len(user)+p.book.stateSize(p.at), true, armed)
		p.held = true
		return
	}
	p.encoded = p.st.Append(p.encoded[:0], p.set)
	if p.at == nowhere {
		p.book.put(keyOf(user), user, p.encoded, true, armed)
	} else {
		p.book.replace(p.at, user, p.encoded, true, armed)
	}
}

// defaultHold is from how many bytes on a state is put back late.
const defaultHold = 4 << 10

// putBack brings the book up to what is held.
func (p *Partition) putBack() {
	if !p.held {
		return
	}
	p.held = false
	user, _, _ := p.book.read(p.book.places[p.at])
	p.encoded = p.st.Append(p.encoded[:0], p.set)
	p.book.replace(p.at, string(user), p.encoded, true, false)
}
