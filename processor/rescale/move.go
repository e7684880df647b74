package rescale

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
)

// portion is how many users are written at once.
const portion = 2000

// reset removes the copies that an interrupted move has left, and gives the headers
// their former identity back.
func (m *move) reset(ctx context.Context) error {
	var todo []*side
	for _, s := range m.old() {
		if _, _, ok := isMoving(s.r); ok {
			todo = append(todo, s)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	m.report.Resumed = true
	if err := m.reserve(ctx, todo); err != nil {
		return err
	}
	for i, s := range todo {
		m.progress("remove copies of the interrupted move", i, len(todo))
		if err := m.claim(ctx, s, s.r.ID, s.epoch-1, s.r.Offset); err != nil {
			return err
		}
		if _, err := m.clean(ctx, s, m.before.Input); err != nil {
			return err
		}
		if err := m.claim(ctx, s, m.oldID(), s.epoch, s.r.Offset); err != nil {
			return err
		}
	}
	return nil
}

// reserve makes two epochs of each partition durable in Kafka, which also proves that
// the partitions are ours.
func (m *move) reserve(ctx context.Context, sides []*side) error {
	pubs := make([]*processor.Publication, len(sides))
	for i, s := range sides {
		k := m.position(s)
		epoch := max(k.Epoch, m.Now())
		if n := len(k.History); n > 0 {
			epoch = max(epoch, k.History[n-1].Epoch)
		}
		if s.r != nil {
			epoch = max(epoch, s.r.Epoch)
		}
		s.epoch = epoch + 2
		k.Epoch, k.Claimer = s.epoch, m.Claimer
		s.k = &k
		pubs[i] = &processor.Publication{Input: s.input, Commit: k}
	}
	if err := m.Kafka.Publish(ctx, pubs); err != nil {
		return fmt.Errorf("claim the partitions of topic %s: %w", m.Topic, err)
	}
	return nil
}

// claim takes a partition in the store under an identity. A header under another one
// that was looked at before is taken over.
func (m *move) claim(ctx context.Context, s *side, id string, epoch, offset int64) error {
	c := processor.Claim{ID: id, Epoch: epoch, Claimer: m.Claimer, Base: s.k.Base, Names: m.names}
	if s.r != nil && s.r.ID != id {
		c.Takeover = &processor.Takeover{ID: s.r.ID, Offset: offset}
	}
	what := "claim " + s.input.String()
	var claimed *processor.Claimed
	err := try(ctx, what, func() (err error) {
		claimed, err = m.Store.Claim(ctx, s.input, c)
		return err
	})
	if err != nil {
		return err
	}
	maps.Copy(m.names, claimed.Names)
	s.r, s.buckets = &claimed.Header, claimed.Buckets
	if s.r.Wiping {
		return m.empty(ctx, s)
	}
	return nil
}

// empty removes what may be left of a partition.
func (m *move) empty(ctx context.Context, s *side) error {
	err := try(ctx, "empty "+s.input.String(), func() error { return m.Store.Wipe(ctx, s.input, s.r.Epoch) })
	if err != nil {
		return err
	}
	s.buckets = nil
	return try(ctx, "read the header of "+s.input.String(), func() (err error) {
		epoch := s.r.Epoch
		if s.r, err = m.Store.Peek(ctx, s.input); err == nil && (s.r == nil || s.r.Epoch != epoch || s.r.Wiping) {
			err = processor.ErrLost
		}
		return err
	})
}

// take claims all partitions for the move. Those that the topic has got are empty
// then. All know the names of all rules.
func (m *move) take(ctx context.Context) error {
	if err := m.reserve(ctx, m.sides); err != nil {
		return err
	}
	for range 2 { // the second time with the names found in the first
		for i, s := range m.sides {
			m.progress("claim", i, len(m.sides))
			if err := m.claim(ctx, s, m.movingID(), s.epoch, s.k.Offset); err != nil {
				return err
			}
		}
	}
	for _, s := range m.fresh() {
		if err := m.empty(ctx, s); err != nil {
			return err
		}
	}
	m.setClocks()
	return nil
}

// setClocks gives the partitions that the topic has got the lowest clock that any of
// the others has: what is due later is pending with everybody. The others keep
// theirs: the hints in their users' states count from it.
func (m *move) setClocks() {
	lowest := int64(0)
	for _, s := range m.old() {
		s.clock = s.r.Clock
		if s.clock > 0 && (lowest == 0 || s.clock < lowest) {
			lowest = s.clock
		}
	}
	for _, s := range m.fresh() {
		s.clock = lowest
	}
}

// write writes to a partition; fill says what.
func (m *move) write(ctx context.Context, s *side, fill func(*processor.Batch)) error {
	b := processor.Batch{Epoch: s.r.Epoch, Version: s.r.Version, Next: *s.r, Published: s.r.Seq}
	fill(&b)
	b.Next.Version++
	err := try(ctx, "write to "+s.input.String(), func() error { return m.Store.Write(ctx, s.input, &b) })
	if err != nil {
		return err
	}
	s.r = &b.Next
	return nil
}

// copy copies who moves to where he belongs, and gives what he has pending an entry in
// the timer index there. What is there twice meanwhile is told apart by the number of
// partitions that the positions are under.
func (m *move) copy(ctx context.Context) error {
	if m.before.Input == m.after.Input {
		return nil
	}
	for i := range m.report.Partitions {
		p := &m.report.Partitions[i]
		p.MovedOut, p.MovedIn, p.Timers, p.Bytes = 0, 0, 0, 0
	}
	m.copied = 0
	names := make(map[rules.ID]string, len(m.names))
	for id, name := range m.names {
		names[rules.ID(id)] = name
	}
	set := m.Set.WithNames(names)
	least := m.sweep().Done
	var st rules.State
	arriving := map[int32][]arrival{}
	arrive := func(to int32, enough int) error {
		users := arriving[to]
		if len(users) < enough {
			return nil
		}
		arriving[to] = users[:0]
		return m.arrive(ctx, m.sides[to], users)
	}
	for i, s := range m.old() {
		m.progress("copy", i, int(m.before.Input))
		// Schedules go on from where they have got least, which may be behind an
		// occurrence that has been started here already, for whom it was for.
		swept := int64(0)
		if _, at, ok := set.NextSchedule(least); ok && at <= s.r.Sweep.Done {
			swept = s.r.Sweep.Done
		}
		err := m.eachUser(ctx, s, func(users []processor.StateWrite) error {
			for _, u := range users {
				to := m.Home(u.User, m.after.Input)
				stays := to == s.input.Partition
				if m.Home(u.User, m.before.Input) != s.input.Partition || stays && swept == 0 {
					continue
				}
				if err := st.Decode(u.State); err != nil {
					return fmt.Errorf("the state of %s in %s cannot be read: %w; run the version of nudged that wrote it", processor.Hidden(u.User), s.input, err)
				}
				if swept != 0 {
					st.MarkSwept(set, swept)
					u.State = st.Append(nil, set)
				}
				a := arrival{u, 0}
				if !stays {
					a = moved(&st, set, u, s.r.Clock, m.sides[to].clock)
					m.copied += hashOf(&a.StateWrite)
					m.moves(s.input.Partition, to, &a.StateWrite, a.at != 0)
				}
				arriving[to] = append(arriving[to], a)
				if err := arrive(to, portion); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, to := range slices.Sorted(maps.Keys(arriving)) {
		if err := arrive(to, 1); err != nil {
			return err
		}
	}
	return nil
}

// arrival is a user as he comes to a partition.
type arrival struct {
	processor.StateWrite
	at int64 // of the entry in the timer index, ms; 0: none
}

// moved returns a state, decoded, as it comes from a partition whose clock stands at from to one
// whose clock stands at to. An entry that is still to come up there is one that is
// to come up here; what is due already comes up at once. Further entries stay behind:
// the one that comes up sees to the next.
func moved(st *rules.State, set *rules.Set, u processor.StateWrite, from, to int64) arrival {
	before, hints := st.TimerHint(), st.TimerHints()
	at := before
	if at <= from {
		at = 0
	}
	if due, ok := st.NextDue(set); ok && (at == 0 || at > due) {
		at = processor.Second(due)
	}
	if at != 0 {
		at = max(at, processor.Second(to))
	}
	if at != before || hints > 1 {
		st.SpendTimerHints(math.MaxInt64)
		if at != 0 {
			st.AddTimerHint(at)
		}
		u.State = st.Append(nil, set)
	}
	return arrival{u, at}
}

// arrive writes users to where they belong.
func (m *move) arrive(ctx context.Context, s *side, users []arrival) error {
	return m.write(ctx, s, func(b *processor.Batch) {
		b.Next.Clock = s.clock
		byBucket := map[processor.Bucket]int{}
		for _, u := range users {
			b.States = append(b.States, u.StateWrite)
			if u.at == 0 {
				continue
			}
			bucket := processor.BucketFor(u.at, s.clock)
			i, ok := byBucket[bucket]
			if !ok {
				i = len(b.Timers)
				byBucket[bucket] = i
				b.Timers = append(b.Timers, processor.TimerWrite{Bucket: bucket})
			}
			b.Timers[i].Entries = append(b.Timers[i].Entries, processor.TimerEntry{At: u.at, User: u.User})
		}
	})
}

func hashOf(u *processor.StateWrite) uint64 {
	d := xxhash.New()
	_, _ = d.WriteString(u.User)
	_, _ = d.Write([]byte{0})
	_, _ = d.Write(u.State)
	return d.Sum64()
}

// verify reads every copy back.
func (m *move) verify(ctx context.Context) error {
	missing, sum, err := m.compare(ctx)
	switch {
	case err != nil:
		return err
	case missing > 0 || sum != m.copied:
		return fmt.Errorf("topic %s: of the users copied %d are not where they were copied to, or are not the same: Redis has lost writes. Nothing was removed: run nudged rescale again", m.Topic, missing)
	}
	return nil
}

// compare looks for the copy of each user who moves and is still where he came from.
func (m *move) compare(ctx context.Context) (missing int, sum uint64, err error) {
	if m.before.Input == m.after.Input {
		return 0, 0, nil
	}
	leaving := map[int32][]string{}
	readBack := func(to int32, enough int) error {
		users := leaving[to]
		if len(users) < enough {
			return nil
		}
		leaving[to] = users[:0]
		var states [][]byte
		err := try(ctx, "read back from "+m.sides[to].input.String(), func() (err error) {
			states, err = m.Store.States(ctx, m.sides[to].input, m.sides[to].r.Fence(), users)
			return err
		})
		for i, state := range states {
			if state == nil {
				missing++
				continue
			}
			sum += hashOf(&processor.StateWrite{User: users[i], State: state})
		}
		return err
	}
	for i, s := range m.old() {
		m.progress("verify", i, int(m.before.Input))
		err := m.eachUser(ctx, s, func(users []processor.StateWrite) error {
			for _, u := range users {
				to := m.Home(u.User, m.after.Input)
				if m.Home(u.User, m.before.Input) != s.input.Partition || to == s.input.Partition {
					continue
				}
				leaving[to] = append(leaving[to], u.User)
				if err := readBack(to, portion); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, 0, err
		}
	}
	for to := range leaving {
		if err := readBack(to, 1); err != nil {
			return 0, 0, err
		}
	}
	return missing, sum, nil
}
