package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
)

// States implements processor.Store. It asks each user bucket once, all in one
// round trip. The states returned are the caller's.
func (s *Store) States(ctx context.Context, tp processor.TopicPartition, at processor.Fence, users []string) ([][]byte, error) {
	const op = "reading states"
	out := make([][]byte, len(users))
	if len(users) == 0 {
		return out, nil
	}
	p, err := s.keys(ctx, tp)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return out, s.absent(op, tp, at)
	}
	var groups grouping
	groups.sort(p, len(users), func(i int) string { return users[i] })
	// The commands' arguments lie in one array that never grows.
	args := make([]any, 0, 2*len(p.users)+len(users))
	read := s.reading(ctx, p, at)
	var asked []bucketRead
	for k := range p.users {
		in := groups.in(k)
		if len(in) == 0 {
			continue
		}
		from := len(args)
		args = append(args, "hmget", &p.users[k])
		for _, i := range in {
			args = append(args, &users[i])
		}
		cmd := goredis.NewSliceCmd(ctx, args[from:len(args):len(args)]...)
		_ = read.pipe.Process(ctx, cmd)
		asked = append(asked, bucketRead{cmd, in})
	}
	if err := read.exec(ctx, op); err != nil {
		return nil, err
	}
	for _, r := range asked {
		states, err := r.cmd.Result()
		if err == nil && len(states) != len(r.users) {
			err = fmt.Errorf("%d states came for %d users", len(states), len(r.users))
		}
		if err != nil {
			return nil, s.failure(op, p, err)
		}
		for j, i := range r.users {
			if state, ok := states[j].(string); ok {
				out[i] = []byte(state)
			}
		}
	}
	return out, nil
}

// sliceBuckets is how many user buckets make a slice: they are read in one round
// trip.
const sliceBuckets = 16

// Users implements processor.Store.
func (s *Store) Users(ctx context.Context, tp processor.TopicPartition, at processor.Fence, slice int) ([]processor.StateWrite, int, error) {
	const op = "reading a bucket of users"
	p, err := s.keys(ctx, tp)
	switch {
	case err != nil:
		return nil, 0, err
	case p == nil:
		return nil, 1, s.absent(op, tp, at)
	}
	of := (len(p.users) + sliceBuckets - 1) / sliceBuckets
	if slice < 0 || slice >= of {
		return nil, of, nil
	}
	read := s.reading(ctx, p, at)
	var buckets []*goredis.MapStringStringCmd
	for _, key := range p.users[slice*sliceBuckets : min((slice+1)*sliceBuckets, len(p.users))] {
		buckets = append(buckets, read.pipe.HGetAll(ctx, key))
	}
	if err := read.exec(ctx, op); err != nil {
		return nil, 0, err
	}
	var users []processor.StateWrite
	for _, b := range buckets {
		for user, state := range b.Val() {
			users = append(users, processor.StateWrite{User: user, State: []byte(state)})
		}
	}
	slices.SortFunc(users, func(a, b processor.StateWrite) int { return strings.Compare(a.User, b.User) })
	return users, of, nil
}

// bucketRead asks one bucket for some of the users.
type bucketRead struct {
	cmd   *goredis.SliceCmd
	users []int32
}

// Names returns the names kept beside the states, by their ids; none where the
// partition has no header.
func (s *Store) Names(ctx context.Context, tp processor.TopicPartition) (map[uint32]string, error) {
	const op = "reading names"
	p := newPartition(s.group, tp)
	fields, err := s.client.HGetAll(ctx, p.names).Result()
	if err != nil {
		return nil, s.failure(op, p, err)
	}
	list := make([]string, 0, 2*len(fields))
	for id, name := range fields {
		list = append(list, id, name)
	}
	names, err := parseNames(list)
	if err != nil {
		return nil, s.failure(op, p, err)
	}
	return names, nil
}
