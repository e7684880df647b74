package processor

import (
	"context"
	"fmt"
	"strings"
)

// want puts the user into the working set. Who is not in the cache is loaded by
// load.
func (p *Partition) want(user string) {
	if _, ok := p.working[user]; ok {
		return
	}
	e := p.spare()
	e.user = strings.Clone(user)
	p.working[e.user] = e
	blob, cached := p.cache.get(user)
	switch {
	case cached:
		if err := e.st.Decode(blob); err == nil {
			return
		}
		// Fall through to the store, whose error names the user.
		p.missing = append(p.missing, e)
	case p.cache.evicted:
		p.missing = append(p.missing, e)
	}
}

func (p *Partition) spare() *entry {
	if n := len(p.pool); n > 0 {
		e := p.pool[n-1]
		p.pool = p.pool[:n-1]
		return e
	}
	return &entry{}
}

// load fetches the states of wanted users that were not in the cache.
func (p *Partition) load(ctx context.Context) error {
	if len(p.missing) == 0 {
		return nil
	}
	users := make([]string, len(p.missing))
	for i, e := range p.missing {
		users[i] = e.user
	}
	var blobs [][]byte
	err := p.retry(ctx, "load states", func() (err error) {
		blobs, err = p.cfg.Store.States(ctx, p.input, users)
		return err
	})
	if err != nil {
		return err
	}
	for i, e := range p.missing {
		if blobs[i] == nil {
			continue
		}
		if err := e.st.Decode(blobs[i]); err != nil {
			return &StopError{Input: p.input, Group: p.cfg.Group,
				Reason: fmt.Sprintf("the state of user %q cannot be read: %v", e.user, err),
				Wayout: "Run the version of nudged that wrote it, or restore Redis from a backup"}
		}
	}
	p.missing = p.missing[:0]
	return nil
}

// entry returns the user's entry of the working set, loaded.
func (p *Partition) entry(ctx context.Context, user string) (*entry, error) {
	if e, ok := p.working[user]; ok {
		return e, nil
	}
	p.want(user)
	if err := p.load(ctx); err != nil {
		return nil, err
	}
	return p.working[user], nil
}

// putAway stores the working set in the cache and empties it.
func (p *Partition) putAway() {
	for _, e := range p.working {
		e.st.Reset()
		*e = entry{st: e.st}
		p.pool = append(p.pool, e)
	}
	clear(p.working)
}
